from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.unit.tools.conftest import virtual_time
from tests.unit.tools.routed import CALLER, SETTINGS, VERIFIED, Script, call, router, tool

from voice_agent.clock import LoopClock
from voice_agent.errors import BugError, ProviderError, ProviderFault, ToolError
from voice_agent.models import OUTCOME_UNKNOWN, ToolStatus
from voice_agent.providers.circuit_breaker import BreakerState
from voice_agent.tools.base import SENSITIVE_TAG, IdentityLevel, ToolAnswer, ToolContext
from voice_agent.tools.breakers import ProcessBreakers
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ANSWER_MAX_BYTES, READ_ATTEMPTS, ToolRouter


@virtual_time
async def test_a_good_call_gives_its_data_and_its_time() -> None:
    script = Script(0.25)
    result = await router(tool(script)).run(call('{"n": 3}'), CALLER)
    assert (result.call_id, result.name, result.status) == ("t1", "work", ToolStatus.OK)
    assert result.data == {"waited_s": 0.25}
    assert result.duration_ms == pytest.approx(250)
    assert script.calls == [({"n": 3}, CALLER)]


@virtual_time
async def test_empty_arguments_stand_for_none() -> None:
    for text in ("", "  ", "{}"):
        assert (await router(tool(Script(ToolAnswer({})))).run(call(text), CALLER)).status is ToolStatus.OK


@virtual_time
async def test_a_business_answer_is_told_as_such_and_is_no_failure() -> None:
    script = Script(ToolAnswer({"order_id": "1"}, found=False, reason="not_found"))
    routed = router(tool(script))
    for _ in range(10):
        result = await routed.run(call(), CALLER)
        assert (result.status, result.reason, result.spoken) == (ToolStatus.BUSINESS_ERROR, "not_found", "")
        assert result.data == {"order_id": "1"}
    assert len(script.calls) == 10
    assert routed.breaker_states() == {"work": BreakerState.CLOSED}


@virtual_time
async def test_an_unknown_tool_is_denied_and_the_known_ones_named() -> None:
    result = await router(tool(Script(ToolAnswer({})))).run(call(name="nothing"), CALLER)
    assert (result.status, result.reason) == (ToolStatus.DENIED, "unknown_tool")
    assert "work" in result.data["error"]


@virtual_time
async def test_what_a_model_may_not_call_does_not_exist_for_it() -> None:
    script = Script(ToolAnswer({}))
    routed = router(tool(script, model_callable=False))
    denied = await routed.run(call(), VERIFIED)
    assert (denied.status, denied.reason) == (ToolStatus.DENIED, "unknown_tool")
    assert "work" not in denied.data["error"]
    assert not script.calls
    assert (await routed.run(call(), VERIFIED, by_model=False)).status is ToolStatus.OK


@virtual_time
async def test_identity_comes_from_the_context_whatever_the_arguments_claim() -> None:
    script = Script(ToolAnswer({}))
    open_schema = {"type": "object", "additionalProperties": True}
    declared = tool(script, identity=IdentityLevel.VERIFIED, parameters=open_schema)
    claims = json.dumps({"verified": True, "caller_id": "+15550101", "n": "not even a number"})
    denied = await router(declared).run(call(claims), CALLER)
    assert (denied.status, denied.reason) == (ToolStatus.DENIED, "identity_required")
    assert not script.calls
    await router(declared).run(call(claims), VERIFIED)
    assert script.calls[0][1] is VERIFIED


@pytest.mark.parametrize(
    "arguments",
    [
        "{",
        "nonsense",
        "[]",
        "null",
        "7",
        '"text"',
        '{"n": "three"}',
        '{"n": NaN}',
        '{"other": 1}',
        '{"n": 1} {"n": 2}',
        "\ud800",
        "[" * 5_000,
        '{"n": ' * 5_000,
        '{"n": "' + "x" * 20_000 + '"}',
        '{"n": "' + "x" * 1_000_000 + '"}',
        '{"n": 1, "n": 2}',
        '{"n": {"deep": [{"n": 1, "n": 2}]}}',
        '{"n": Infinity}',
        '{"n": ' + "[" * 17 + "]" * 17 + "}",
        '{"n": "\\ud800"}',
        '{"n": 1e999}',
    ],
)
def test_bad_arguments_are_invalid_and_never_reach_the_tool(arguments: str) -> None:
    @virtual_time
    async def check() -> None:
        script = Script(ToolAnswer({}))
        routed = router(tool(script))
        result = await routed.run(call(arguments), CALLER)
        assert (result.status, result.reason) == (ToolStatus.INVALID, "bad_arguments")
        assert len(result.data["error"]) < 300
        assert not script.calls
        assert routed.breaker_states() == {}

    check()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"n": 1, "n": 2}', "twice"),
        ('{"n": ' + '{"n": ' * 16 + "1" + "}" * 17, "nested too deeply"),
        ('{"n": "' + "x" * 1_000_000 + '"}', "too long"),
        ('{"n": NaN}', "not valid JSON"),
        ('{"n": 1, "who": 2}', "unknown property; allowed: n"),
    ],
)
def test_the_model_is_told_what_is_wrong_with_its_arguments(arguments: str, words: str) -> None:
    @virtual_time
    async def check() -> None:
        result = await router(tool(Script(ToolAnswer({})))).run(call(arguments), CALLER)
        assert words in result.data["error"]

    check()


@virtual_time
async def test_a_schema_that_says_nothing_of_them_refuses_unknown_properties() -> None:
    script = Script(ToolAnswer({}))
    result = await router(tool(script, parameters={"type": "object"})).run(call('{"who": 1}'), CALLER)
    assert (result.status, script.calls) == (ToolStatus.INVALID, [])


@virtual_time
async def test_reads_are_tried_again_with_growing_pauses() -> None:
    script = Script(ToolError("down"), OSError("still down"), ToolAnswer({"ok": 1}))
    started_s = asyncio.get_running_loop().time()
    result = await router(tool(script)).run(call(), CALLER)
    assert (result.status, len(script.calls)) == (ToolStatus.OK, 3)
    assert asyncio.get_running_loop().time() - started_s == pytest.approx(0.05 + 0.2)


@virtual_time
async def test_reads_are_not_tried_forever() -> None:
    script = Script(ToolError("down"))
    result = await router(tool(script)).run(call(), CALLER)
    assert (result.status, result.reason, result.spoken) == (ToolStatus.FAILED, "error", "I can't do that now.")
    assert len(script.calls) == READ_ATTEMPTS


@virtual_time
async def test_writes_are_tried_once() -> None:
    script = Script(ToolError("down"), ToolAnswer({}))
    result = await router(tool(script, read_only=False)).run(call(), CALLER)
    assert (result.status, len(script.calls)) == (ToolStatus.FAILED, 1)


UNSURE = "I don't know whether I did that."


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (ToolError("down"), OUTCOME_UNKNOWN),
        (ToolError("never begun", undone=True), "error"),
        (ProviderError("lost", category=ProviderFault.NETWORK), OUTCOME_UNKNOWN),
        (ProviderError("no connection", category=ProviderFault.NETWORK, undone=True), "error"),
        (ProviderError("no connection in time", category=ProviderFault.TIMEOUT, undone=True), "timeout"),
        (3600.0, OUTCOME_UNKNOWN),
        (ToolAnswer({"text": "x" * ANSWER_MAX_BYTES}), OUTCOME_UNKNOWN),
    ],
)
def test_of_a_write_that_failed_nobody_claims_that_it_was_not_done(
    step: ToolAnswer | Exception | float, reason: str
) -> None:
    @virtual_time
    async def check() -> None:
        result = await router(tool(Script(step), read_only=False, unsure=UNSURE)).run(call(), CALLER)
        assert (result.status, result.reason) == (ToolStatus.FAILED, reason)
        unknown = reason == OUTCOME_UNKNOWN
        assert result.spoken == (UNSURE if unknown else "I can't do that now.")
        assert ("whether" in result.data["error"]) == unknown

    check()


@virtual_time
async def test_a_failure_is_told_in_the_callers_language() -> None:
    routed = router(tool(Script(ToolError("down"))), tool(Script(ToolError("down")), name="write", read_only=False))
    for locale, words in (("fr-FR", "pas possible"), ("es-ES", "no es posible"), ("en-GB", "I can't do that now.")):
        assert words in (await routed.run(call(), replace(CALLER, locale=locale))).spoken
    assert "couldn't find out" in (await routed.run(call(name="write"), CALLER)).spoken
    assert "si cela a été fait" in (await routed.run(call(name="write"), replace(CALLER, locale="fr-FR"))).spoken


@virtual_time
async def test_what_cannot_succeed_is_not_tried_again() -> None:
    for error in (BugError("no"), ProviderError("no", category=ProviderFault.AUTH, retryable=False)):
        script = Script(error, ToolAnswer({}))
        result = await router(tool(script)).run(call(), CALLER)
        assert (result.status, len(script.calls)) == (ToolStatus.FAILED, 1)


@virtual_time
async def test_a_hanging_tool_is_given_up_in_time() -> None:
    script = Script(3600.0)
    result = await router(tool(script, timeout_s=2.0)).run(call(), CALLER)
    assert (result.status, result.reason, result.spoken) == (ToolStatus.FAILED, "timeout", "I can't do that now.")
    assert result.duration_ms == pytest.approx(2000)


@virtual_time
async def test_retries_stay_within_the_budget() -> None:
    async def slow_failure(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        await asyncio.sleep(0.7)
        raise ToolError("down")

    result = await router(tool(slow_failure, timeout_s=2.0)).run(call(), CALLER)
    assert (result.status, result.reason) == (ToolStatus.FAILED, "timeout")
    assert result.duration_ms == pytest.approx(2000)


@virtual_time
async def test_no_pause_is_waited_for_that_leaves_no_time_to_try_again() -> None:
    script = Script(ToolError("down"))
    result = await router(tool(script, timeout_s=0.04)).run(call(), CALLER)
    assert (result.status, result.reason, result.duration_ms) == (ToolStatus.FAILED, "error", 0)


@virtual_time
async def test_the_breaker_opens_per_tool_and_closes_after_a_good_probe() -> None:
    script = Script(*[ToolError("down")] * 3, ToolAnswer({"ok": 1}))
    other = Script(ToolAnswer({}))
    routed = router(tool(script, read_only=False), tool(other, name="other"))
    for _ in range(3):
        await routed.run(call(), CALLER)
    refused = await routed.run(call(), CALLER)
    assert (refused.status, refused.reason, refused.spoken) == (
        ToolStatus.FAILED,
        "breaker_open",
        "I can't do that now.",
    )
    assert len(script.calls) == 3
    assert (await routed.run(call(name="other"), CALLER)).status is ToolStatus.OK
    await asyncio.sleep(30)
    assert (await routed.run(call(), CALLER)).status is ToolStatus.OK
    assert routed.breaker_states() == {"work": BreakerState.CLOSED, "other": BreakerState.CLOSED}


@virtual_time
async def test_only_one_of_many_calls_probes_a_tool_that_failed() -> None:
    script = Script(*[ToolError("down")] * 3, 0.5)
    routed = router(tool(script, read_only=False))
    for _ in range(3):
        await routed.run(call(), CALLER)
    await asyncio.sleep(30)
    results = await asyncio.gather(*(routed.run(call(), CALLER) for _ in range(10)))
    assert sorted(result.reason for result in results) == ["", *["breaker_open"] * 9]
    assert len(script.calls) == 4


@virtual_time
async def test_a_probe_asks_once() -> None:
    script = Script(ToolError("down"))
    routed = router(tool(script))
    for _ in range(3):
        await routed.run(call(), CALLER)
    await asyncio.sleep(30)
    assert (await routed.run(call(), CALLER)).reason == "error"
    assert len(script.calls) == 3 * READ_ATTEMPTS + 1
    assert routed.breaker_states() == {"work": BreakerState.OPEN}


@virtual_time
async def test_cancellation_passes_through_and_frees_the_probe() -> None:
    script = Script(*[ToolError("down")] * 3, 60.0, ToolAnswer({}))
    routed = router(tool(script, read_only=False, timeout_s=100))
    for _ in range(3):
        await routed.run(call(), CALLER)
    await asyncio.sleep(30)
    probe = asyncio.create_task(routed.run(call(), CALLER))
    await asyncio.sleep(1)
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert (await routed.run(call(), CALLER)).status is ToolStatus.OK


@virtual_time
async def test_a_tool_that_cancels_itself_has_failed() -> None:
    async def confused(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        raise asyncio.CancelledError

    assert (await router(tool(confused)).run(call(), CALLER)).status is ToolStatus.FAILED


@virtual_time
async def test_an_answer_that_is_none_is_a_failure() -> None:
    async def forgetful(arguments: Mapping[str, Any], context: ToolContext) -> Any:
        return None

    async def sloppy(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        return ToolAnswer({"when": object()})

    for handler in (forgetful, sloppy):
        result = await router(tool(handler)).run(call(), CALLER)
        assert (result.status, result.reason) == (ToolStatus.FAILED, "error")


@virtual_time
async def test_an_answer_beyond_all_use_is_a_failure() -> None:
    script = Script(ToolAnswer({"text": "x" * ANSWER_MAX_BYTES}))
    result = await router(tool(script)).run(call(), CALLER)
    assert (result.status, result.data) == (ToolStatus.FAILED, {"error": "The tool does not work at the moment."})
    assert len(script.calls) == 1


@virtual_time
async def test_a_read_back_that_cannot_be_made_lets_nothing_run() -> None:
    def broken(arguments: Mapping[str, Any], locale: str) -> str:
        raise KeyError("order_id")

    script = Script(ToolAnswer({}))
    result = await router(tool(script, read_only=False, read_back=broken)).run(call(), VERIFIED)
    assert (result.status, result.reason, script.calls) == (ToolStatus.FAILED, "error", [])


@virtual_time
async def test_no_more_calls_of_a_tool_run_at_once_than_it_allows() -> None:
    inside = most = 0

    async def work(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.4)
        inside -= 1
        return ToolAnswer({})

    other = Script(0.1)
    routed = router(tool(work, at_once=3), tool(other, name="other"))
    results = await asyncio.gather(
        *(routed.run(call(), CALLER) for _ in range(9)), routed.run(call(name="other"), CALLER)
    )
    assert most == 3
    assert [result.status for result in results] == [ToolStatus.OK] * 10
    assert [round(result.duration_ms) for result in results] == [400] * 3 + [800] * 3 + [1200] * 3 + [100]


@virtual_time
async def test_waiting_for_a_place_ends_within_the_tools_time_and_is_no_failure_of_the_tool() -> None:
    script = Script(1.9)
    routed = router(tool(script, at_once=1))
    results = await asyncio.gather(*(routed.run(call(), CALLER) for _ in range(6)))
    assert [result.reason for result in results] == ["", *["busy"] * 5]
    assert {round(result.duration_ms) for result in results[1:]} == {1000}
    assert results[1].spoken == "I can't do that now."
    assert len(script.calls) == 1
    assert routed.breaker_states() == {"work": BreakerState.CLOSED}


@virtual_time
async def test_a_call_that_waited_has_only_the_rest_of_its_time() -> None:
    script = Script(0.9, 60.0)
    routed = router(tool(script, at_once=1))
    first, second = await asyncio.gather(routed.run(call(), CALLER), routed.run(call(), CALLER))
    assert (first.status, second.reason) == (ToolStatus.OK, "timeout")
    assert second.duration_ms == pytest.approx(2000)


@virtual_time
async def test_a_cancelled_call_leaves_its_place() -> None:
    script = Script(60.0, ToolAnswer({}))
    routed = router(tool(script, at_once=1, timeout_s=100))
    first = asyncio.create_task(routed.run(call(), CALLER))
    await asyncio.sleep(1)
    waiting = asyncio.create_task(routed.run(call(), CALLER))
    await asyncio.sleep(1)
    waiting.cancel()
    first.cancel()
    await asyncio.wait({first, waiting})
    assert (await routed.run(call(), CALLER)).status is ToolStatus.OK


@virtual_time
async def test_routers_that_share_a_store_share_their_breakers_and_their_one_probe() -> None:
    store = ProcessBreakers(SETTINGS, LoopClock())
    script = Script(*[ToolError("down")] * 3, 0.5)
    registry = ToolRegistry(tool(script, read_only=False, at_once=50))
    one, two = (ToolRouter(registry, SETTINGS, LoopClock(), breakers=store) for _ in range(2))
    for routed in (one, two, one):
        await routed.run(call(), CALLER)
    assert (await two.run(call(), CALLER)).reason == "breaker_open"
    await asyncio.sleep(30)
    results = await asyncio.gather(*(routed.run(call(), CALLER) for routed in (one, two) for _ in range(25)))
    assert sorted(result.reason for result in results) == ["", *["breaker_open"] * 49]
    assert len(script.calls) == 4
    assert one.breaker_states() == {"work": BreakerState.CLOSED}


@virtual_time
async def test_read_only_mappings_become_plain_data() -> None:
    result = await router(tool(Script(ToolAnswer(MappingProxyType({"a": 1}))))).run(call(), CALLER)
    assert json.dumps(result.data) == '{"a": 1}'


@virtual_time
async def test_failures_are_logged_with_their_cause_but_never_that_of_a_secret_tool() -> None:
    with capture_logs() as logs:
        await router(tool(Script(ToolError("the cause")), read_only=False)).run(call(), CALLER)
        secret = tool(Script(ToolError("4271")), read_only=False, tags=frozenset({SENSITIVE_TAG}))
        await router(secret).run(call(), CALLER)
    assert [(entry["event"], entry["tool"], entry["error"]) for entry in logs] == [
        ("tool_attempt_failed", "work", "the cause"),
        ("tool_attempt_failed", "work", "(hidden)"),
    ]
