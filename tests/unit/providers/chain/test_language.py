"""The chain of language models: preference, deadlines, hedging, breakers and failovers, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
from tests.unit.providers.chain.scripted import (
    DEADLINES,
    HANG,
    HEDGED,
    Reports,
    Scripted,
    failure,
    links,
    other_tasks,
    text,
)
from tests.virtual_time import run_virtual

from voice_agent.clock import LoopClock
from voice_agent.errors import ConfigError, ProviderError, ProviderFault
from voice_agent.models import Message, Role, ToolCall
from voice_agent.providers.chain.base import StageDeadlines
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.circuit_breaker import BreakerState
from voice_agent.providers.llm.base import LlmFinished, LlmRequest, TextDelta, TextRestarted, ToolCallRequested

REQUEST = LlmRequest((Message(Role.CALLER, "hello"),))
CALL = ToolCallRequested(ToolCall("c1", "order_status", "{}"))


def chain(deadlines: StageDeadlines = DEADLINES, **providers: Any) -> LanguageModelChain:
    return LanguageModelChain(links(**providers), deadlines, LoopClock(), jitter=lambda: 0.5)


async def answer(models: LanguageModelChain, reports: Reports | None = None) -> str:
    """The text given, with ``|`` where it began anew, and the name of each tool asked for in brackets."""
    out = ""
    async with aclosing(models.stream(REQUEST, reports or Reports())) as events:
        async for event in events:
            match event:
                case TextDelta(given):
                    out += given
                case ToolCallRequested(call):
                    out += f"[{call.name}]"
                case TextRestarted():
                    out += "|"
                case LlmFinished():
                    out += "."
    return out


def virtual(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Runs a test on virtual time; afterwards no task may be left."""

    async def checked() -> None:
        await test()
        assert other_tasks() == []

    def run() -> None:
        run_virtual(checked())

    run.__name__ = getattr(test, "__name__", "run")
    return run


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual
async def test_the_preferred_one_answers_and_nobody_else_is_asked() -> None:
    first, second, reports = Scripted([text("Hel", "lo")]), Scripted([text("no")]), Reports()
    assert await answer(chain(HEDGED, a=first, b=second), reports) == "Hello."
    assert (len(first.asked), len(second.asked), reports.told) == (1, 0, [])


@virtual
async def test_an_error_asks_the_next_at_once() -> None:
    first, second, reports = Scripted([[failure()]]), Scripted([text("hi")]), Reports()
    begun = now()
    assert await answer(chain(a=first, b=second), reports) == "hi."
    assert now() == begun
    assert reports.told == [("a", "b", "network")]


@virtual
async def test_a_late_first_result_fails_and_the_last_link_gets_patience() -> None:
    first, second, reports = Scripted([[HANG]]), Scripted([[1.9, *text("hi")]]), Reports()
    begun = now()
    assert await answer(chain(a=first, b=second), reports) == "hi."
    assert now() - begun == pytest.approx(1.0 + 1.9)
    assert first.closed_at == [pytest.approx(begun + 1.0)]
    assert reports.told == [("a", "b", "timeout")]


@virtual
async def test_a_hang_in_mid_answer_begins_anew_and_drops_the_tool_calls() -> None:
    first, second, reports = Scripted([[CALL, TextDelta("One mo"), HANG]]), Scripted([text("Sure")]), Reports()
    begun = now()
    assert await answer(chain(a=first, b=second), reports) == "[order_status]One mo|Sure."
    assert now() - begun == pytest.approx(0.5)
    assert reports.told == [("a", "b", "timeout")]


@virtual
async def test_two_failovers_in_one_answer() -> None:
    first = Scripted([[TextDelta("A"), failure(ProviderFault.PROTOCOL)]])
    second = Scripted([[TextDelta("B"), failure()]])
    reports = Reports()
    assert await answer(chain(a=first, b=second, c=Scripted([text("C")])), reports) == "A|B|C."
    assert reports.told == [("a", "b", "protocol"), ("b", "c", "network")]


@virtual
async def test_a_failure_before_any_text_does_not_begin_anew() -> None:
    first, second = Scripted([[TextDelta(""), failure()]]), Scripted([text("hi")])
    assert await answer(chain(a=first, b=second)) == "hi."


@virtual
async def test_an_answer_without_text_and_tool_call_is_empty() -> None:
    first, second, reports = Scripted([text(" ", "")]), Scripted([[CALL, LlmFinished()]]), Reports()
    assert await answer(chain(a=first, b=second), reports) == " |[order_status]."
    assert reports.told == [("a", "b", "empty")]


@virtual
async def test_empty_text_is_a_sign_of_life() -> None:
    alive = [TextDelta(""), 0.4, TextDelta(""), 0.4, TextDelta(""), 0.4, CALL, LlmFinished()]
    first = Scripted([alive])
    models = chain(StageDeadlines(first_s=0.3, gap_s=0.5, patience_s=0.5), a=first, b=Scripted([text("no")]))
    # It falls behind by more than the gap, so somebody else takes over; alone it may go on.
    assert await answer(models) == "no."
    assert await answer(chain(StageDeadlines(first_s=0.3, gap_s=0.2, patience_s=0.5), a=first)) == "[order_status]."


@virtual
async def test_the_next_starts_beside_a_late_one_and_the_first_result_wins() -> None:
    first, second, reports = Scripted([[HANG]]), Scripted([[0.1, *text("hi")]]), Reports()
    begun = now()
    assert await answer(chain(HEDGED, a=first, b=second), reports) == "hi."
    assert now() - begun == pytest.approx(0.5)
    assert first.closed_at == [pytest.approx(begun + 0.5)]
    assert reports.told == [("a", "b", "hedge")]


@virtual
async def test_a_late_preferred_one_may_still_win() -> None:
    first, second, reports = Scripted([[0.6, *text("yes")]]), Scripted([[0.3, *text("no")]]), Reports()
    begun = now()
    assert await answer(chain(HEDGED, a=first, b=second), reports) == "yes."
    assert second.asked[0][0] == pytest.approx(begun + 0.4)
    assert second.closed_at == [pytest.approx(begun + 0.6)]
    assert reports.told == []


@virtual
async def test_one_that_lost_the_race_takes_over_when_the_winner_fails() -> None:
    first = Scripted([[0.5, TextDelta("The first "), *[0.4, TextDelta("goes on ")] * 6, failure()]])
    second, reports = Scripted([[0.2, *text("no")], text("The second.")]), Reports()
    assert (await answer(chain(HEDGED, a=first, b=second), reports)).endswith("|The second..")
    assert reports.told == [("a", "b", "network")]


@virtual
async def test_one_that_lost_the_race_is_left_to_clean_up_in_its_own_time() -> None:
    cleaned: list[str] = []

    class Slow(Scripted):
        async def _run(self, asked: Any) -> Any:
            try:
                await asyncio.sleep(HANG)
                yield TextDelta("never")
            finally:
                await asyncio.sleep(0.05)
                cleaned.append("connection")

    second = Scripted([[TextDelta("here"), 0.02, LlmFinished()]])
    assert await answer(chain(HEDGED, a=Slow([]), b=second)) == "here."
    assert cleaned == ["connection"]


@virtual
async def test_a_failed_hedge_is_replaced_by_the_next_link() -> None:
    first, second, third = Scripted([[HANG]]), Scripted([[0.1, failure()]]), Scripted([[0.1, *text("c")]])
    reports = Reports()
    assert await answer(chain(HEDGED, a=first, b=second, c=third), reports) == "c."
    assert reports.told == [("a", "c", "hedge")]


@virtual
async def test_never_more_than_two_run() -> None:
    alive: list[int] = []

    class Counted(Scripted):
        def stream(self, request: LlmRequest) -> Any:
            alive.append(sum(model.running for model in models) + 1)
            return super().stream(request)

    models = [Counted([[HANG]]), Counted([[HANG]]), Counted([[HANG]]), Counted([text("d")])]
    reports = Reports()
    assert await answer(chain(HEDGED, a=models[0], b=models[1], c=models[2], d=models[3]), reports) == "d."
    assert max(alive) == 2
    assert reports.told == [("a", "b", "timeout"), ("b", "c", "timeout"), ("c", "d", "hedge")]


@virtual
async def test_one_that_always_loses_to_the_link_beside_it_is_passed_over() -> None:
    first, second, reports = Scripted([[HANG]]), Scripted([text("hi")]), Reports()
    models = chain(HEDGED, a=first, b=second)
    for _ in range(3):
        await answer(models)
    begun = now()
    assert await answer(models, reports) == "hi."
    assert now() == begun
    assert len(first.asked) == 3
    assert reports.told == []


@virtual
async def test_dripping_is_a_failure_while_somebody_else_could_serve() -> None:
    drip = [step for _ in range(40) for step in (TextDelta("a "), 0.45)]
    first, second, reports = Scripted([drip]), Scripted([text("hi")]), Reports()
    begun = now()
    out = await answer(chain(a=first, b=second), reports)
    assert out.endswith("|hi.")
    assert now() - begun < 2.0
    assert reports.told == [("a", "b", "timeout")]
    assert (await answer(chain(a=Scripted([drip])))).count("a ") == 40


@virtual
async def test_all_fail_and_one_more_round_helps() -> None:
    first, second, reports = Scripted([[failure()], text("back")]), Scripted([[failure()]]), Reports()
    begun = now()
    assert await answer(chain(a=first, b=second), reports) == "back."
    assert now() - begun == pytest.approx(0.1)
    assert reports.told == [("a", "b", "network"), ("b", "a", "network")]


@virtual
async def test_all_fail_twice_and_the_last_error_leaves_the_chain() -> None:
    first, second = Scripted([[failure()]]), Scripted([[failure(ProviderFault.PROTOCOL)]])
    reports = Reports()
    with pytest.raises(ProviderError) as caught:
        await answer(chain(a=first, b=second), reports)
    assert caught.value.category is ProviderFault.PROTOCOL
    assert (len(first.asked), len(second.asked)) == (2, 2)
    assert reports.told[-1] == ("b", "", "protocol")


@virtual
async def test_no_second_round_for_what_cannot_be_retried_or_after_the_budget() -> None:
    hopeless = Scripted([[failure(retryable=False)]])
    with pytest.raises(ProviderError):
        await answer(chain(a=hopeless))
    assert len(hopeless.asked) == 1
    slow, begun = Scripted([[HANG]]), now()
    with pytest.raises(ProviderError) as caught:
        await answer(chain(a=slow))
    assert caught.value.category is ProviderFault.TIMEOUT
    assert now() - begun == pytest.approx(2.0)
    assert len(slow.asked) == 1


@virtual
async def test_the_second_round_keeps_the_budget() -> None:
    slow, begun = Scripted([[0.5, failure()], [HANG]]), now()
    with pytest.raises(ProviderError):
        await answer(chain(a=slow))
    assert now() - begun == pytest.approx(2.0)
    assert len(slow.asked) == 2


@virtual
async def test_a_rejected_key_takes_the_link_out_for_minutes() -> None:
    first, second = Scripted([[failure(ProviderFault.AUTH, retryable=False)]]), Scripted([text("hi")])
    models = chain(a=first, b=second)
    await answer(models)
    await asyncio.sleep(299)
    await answer(models)
    assert len(first.asked) == 1
    await asyncio.sleep(2)
    await answer(models)
    assert len(first.asked) == 2


@virtual
async def test_a_rate_limit_takes_the_link_out_for_as_long_as_it_says() -> None:
    first = Scripted([[failure(ProviderFault.RATE, retry_after_s=40.0)], text("a")])
    models = chain(a=first, b=Scripted([text("b")]))
    assert await answer(models) == "b."
    await asyncio.sleep(39)
    assert await answer(models) == "b."
    await asyncio.sleep(2)
    assert await answer(models) == "a."


@virtual
async def test_with_every_breaker_open_a_request_fails_at_once() -> None:
    only, reports = Scripted([[failure(ProviderFault.QUOTA, retryable=False)]]), Reports()
    models = chain(a=only)
    with pytest.raises(ProviderError):
        await answer(models)
    begun = now()
    with pytest.raises(ProviderError) as caught:
        await answer(models, reports)
    assert (now(), len(only.asked)) == (begun, 1)
    assert caught.value.category is ProviderFault.QUOTA
    assert not caught.value.retryable
    assert reports.told == [("a", "", "quota")]


@virtual
async def test_one_request_at_a_time_finds_out_and_then_all_return() -> None:
    first = Scripted([[failure()]] * 3 + [[0.2, *text("a")]])
    second = Scripted([text("b")])
    models = chain(a=first, b=second)
    for _ in range(3):
        await answer(models)
    await asyncio.sleep(16)
    reports = [Reports() for _ in range(8)]
    answers = await asyncio.gather(*(answer(models, report) for report in reports))
    assert sorted(answers) == ["a."] + ["b."] * 7
    assert first.most_at_once == 1
    assert [report.told for report in reports if report.told] == [[("b", "a", "recovered")]]
    assert await answer(models) == "a."


@virtual
async def test_a_failed_probe_waits_again_and_its_caller_is_served_by_the_next() -> None:
    first, second = Scripted([[failure()]]), Scripted([text("b")])
    models = chain(a=first, b=second)
    for _ in range(3):
        await answer(models)
    await asyncio.sleep(16)
    assert await answer(models) == "b."
    assert await answer(models) == "b."
    assert len(first.asked) == 4


@virtual
async def test_one_that_begins_well_and_hangs_each_time_is_passed_over() -> None:
    first, second = Scripted([[TextDelta("A"), HANG]]), Scripted([text("b")])
    models = chain(a=first, b=second)
    for _ in range(3):
        assert await answer(models) == "A|b."
    assert await answer(models) == "b."


@virtual
async def test_cancelling_the_consumer_closes_all_that_runs_at_once() -> None:
    first, second = Scripted([[HANG]]), Scripted([[HANG]])
    consumer = asyncio.create_task(answer(chain(HEDGED, a=first, b=second)))
    await asyncio.sleep(0.5)
    consumer.cancel()
    cancelled_at = now()
    with pytest.raises(asyncio.CancelledError):
        await consumer
    assert first.closed_at == second.closed_at == [pytest.approx(cancelled_at)]


@virtual
async def test_leaving_in_mid_answer_closes_the_provider_and_counts_neither_way() -> None:
    model = Scripted([[TextDelta("A"), HANG]])
    models = chain(a=model)
    for _ in range(5):
        async with aclosing(models.stream(REQUEST, Reports())) as events:
            assert await anext(events) == TextDelta("A")
        assert model.running == 0
    assert models.links[0].breaker.state is BreakerState.CLOSED


@virtual
async def test_a_provider_that_is_slow_to_stop_delays_nobody() -> None:
    first, second = Scripted([[HANG]], linger_s=5.0), Scripted([text("hi")])
    models = chain(HEDGED, a=first, b=second)
    begun = now()
    assert await answer(models) == "hi."
    assert now() - begun < 0.6
    await asyncio.sleep(6)


@virtual
async def test_a_provider_that_breaks_its_word_is_a_failed_one() -> None:
    reports = Reports()
    assert await answer(chain(a=Scripted([[ValueError("oops")]]), b=Scripted([text("hi")])), reports) == "hi."
    assert reports.told == [("a", "b", "internal")]


@virtual
async def test_warming_bears_one_that_fails_but_not_all_and_no_bad_setting() -> None:
    good, bad = Scripted([[]]), Scripted([[]], warm_error=failure())
    await chain(a=bad, b=good).warm_up()
    assert good.warm
    with pytest.raises(ProviderError):
        await chain(a=bad).warm_up()
    with pytest.raises(ConfigError):
        await chain(a=Scripted([[]], warm_error=ConfigError("no model")), b=good).warm_up()


@virtual
async def test_a_chain_of_one_is_made_in_one_line() -> None:
    assert await answer(LanguageModelChain.of(Scripted([text("hi")]), LoopClock())) == "hi."


@virtual
async def test_who_failed_in_the_same_reply_is_asked_last() -> None:
    models, reports = chain(a=Scripted([text("one")]), b=Scripted([text("two")])), Reports()
    given = ""
    async with aclosing(models.stream(REQUEST, reports, last=("a",))) as events:
        async for event in events:
            given += event.text if isinstance(event, TextDelta) else ""
    assert given == "two"
    assert reports.switches == []


@virtual
async def test_who_is_asked_last_still_serves_where_nobody_else_does() -> None:
    models, reports = chain(a=Scripted([text("one")]), b=Scripted([[failure()]])), Reports()
    given = ""
    async with aclosing(models.stream(REQUEST, reports, last=("a",))) as events:
        async for event in events:
            given += event.text if isinstance(event, TextDelta) else ""
    assert given == "one"
    assert [(switch.previous, switch.provider) for switch in reports.switches] == [("b", "a")]
