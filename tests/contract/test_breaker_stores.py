"""Whatever keeps the state of the tools' breakers passes this, alone and with others that share it.

``STORES`` lists them all: each row opens several views of one state, as several processes would. ``SHARED`` lists those
whose state lives outside of the processes, with what can befall only them. The one here keeps it on a far side that is
reached by messages, late or not at all, and acts on each in one step, as a script in Redis does; its times are spans by its
own clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.unit.tools.conftest import virtual_time

from voice_agent.clock import Clock, LoopClock
from voice_agent.config import ToolSettings
from voice_agent.errors import ToolError
from voice_agent.models import CallId, ToolCall, ToolStatus
from voice_agent.providers.circuit_breaker import BreakerState, CircuitBreaker, Permit
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext
from voice_agent.tools.breakers import Admission, BreakerStore, Outcome, ProcessBreakers
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter

THRESHOLD, RECOVERY_S = 3, 30.0
SETTINGS = ToolSettings.model_construct(cb_failure_threshold=THRESHOLD, cb_recovery_s=RECOVERY_S)
PROBE_TTL_S = 10.0  # longer than any tool's time
LATENCY_S = 0.002
GIVE_UP_S = 0.05


@dataclass
class FarSide:
    """The state that is shared, and what it answers. ``reachable`` is whether anybody gets through."""

    clock: Clock
    reachable: bool = True
    breakers: dict[str, CircuitBreaker] = field(default_factory=dict)
    permits: dict[int, tuple[str, Permit, float]] = field(default_factory=dict)
    tickets: int = 0

    def admit(self, name: str) -> tuple[int, bool, float]:
        """(ticket or 0, whether it is a probe, seconds for which nobody needs to ask)."""
        for ticket, (_, permit, until_s) in list(self.permits.items()):
            if permit.is_probe and until_s <= self.clock.now():
                permit.give_up()
                del self.permits[ticket]
        breaker = self.breakers.setdefault(
            name, CircuitBreaker(failure_threshold=THRESHOLD, recovery_s=RECOVERY_S, clock=self.clock)
        )
        permit = breaker.admit()
        if permit is None:
            return 0, False, 1.0 if breaker.state is BreakerState.OPEN else 0.0
        self.tickets += 1
        self.permits[self.tickets] = (name, permit, self.clock.now() + PROBE_TTL_S)
        return self.tickets, permit.is_probe, 0.0

    def settle(self, ticket: int, outcome: Outcome) -> None:
        _, permit, _ = self.permits.pop(ticket, ("", None, 0.0))
        if permit is not None:
            {Outcome.SUCCESS: permit.success, Outcome.FAILURE: permit.failure, Outcome.GIVEN_UP: permit.give_up}[
                outcome
            ]()


class RemoteBreakers:
    """One process's view of a ``FarSide``."""

    def __init__(self, far: FarSide) -> None:
        self._far = far
        self._closed_until_s: dict[str, float] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def admit(self, name: str) -> Admission | None:
        try:
            async with asyncio.timeout(GIVE_UP_S):
                ticket, probe, leave_alone_s = await self._ask(lambda: self._far.admit(name))
        except TimeoutError:
            return Admission(name, 0, probe=False)
        self._closed_until_s[name] = self._far.clock.now() + leave_alone_s
        return Admission(name, ticket, probe) if ticket else None

    async def settle(self, admission: Admission, outcome: Outcome) -> None:
        ticket = admission.token
        assert isinstance(ticket, int)
        task = asyncio.get_running_loop().create_task(self._tell(ticket, outcome), name="breaker-settle")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def states(self) -> Mapping[str, BreakerState]:
        now_s = self._far.clock.now()
        return {
            name: BreakerState.OPEN if now_s < until_s else BreakerState.CLOSED
            for name, until_s in self._closed_until_s.items()
        }

    async def _tell(self, ticket: int, outcome: Outcome) -> None:
        try:
            async with asyncio.timeout(GIVE_UP_S):
                await self._ask(lambda: self._far.settle(ticket, outcome))
        except TimeoutError:
            pass

    async def _ask(self, step: Callable[[], Any]) -> Any:
        await asyncio.sleep(LATENCY_S if self._far.reachable else 3600)
        answer = step()
        await asyncio.sleep(LATENCY_S)
        return answer


@dataclass(frozen=True)
class Shared:
    """Views of one state outside of the processes. ``probe_ttl_s``: after it a probe that was not settled counts as given
    up; ``give_up_s``: the longest that anybody waits for the store; ``cut_off`` makes it unreachable."""

    views: list[BreakerStore]
    probe_ttl_s: float
    give_up_s: float
    cut_off: Callable[[], None]


def _on_a_far_side(count: int) -> Shared:
    far = FarSide(LoopClock())

    def cut_off() -> None:
        far.reachable = False

    return Shared([RemoteBreakers(far) for _ in range(count)], PROBE_TTL_S, GIVE_UP_S, cut_off)


def _in_this_process(count: int) -> list[BreakerStore]:
    return [ProcessBreakers(SETTINGS, LoopClock())] * count


Views = Callable[[int], list[BreakerStore]]
OpenShared = Callable[[int], Shared]


def _views_of(open_shared: OpenShared) -> Views:
    return lambda count: open_shared(count).views


SHARED: dict[str, OpenShared] = {"remote": _on_a_far_side}
STORES: dict[str, Views] = {
    "process": _in_this_process,
    **{name: _views_of(open_shared) for name, open_shared in SHARED.items()},
}
_TOLD_S = 0.2  # until what was settled is known everywhere


def in_virtual_time(test: Callable[[Views], Any]) -> Callable[[Views], None]:
    """Runs the test for each store on a loop whose time jumps."""

    def run(open_views: Views) -> None:
        virtual_time(test)(open_views)

    run.__name__ = test.__name__
    return pytest.mark.parametrize("open_views", STORES.values(), ids=STORES)(run)


def shared_in_virtual_time(test: Callable[[OpenShared], Any]) -> Callable[[OpenShared], None]:
    """The same for each store of ``SHARED``."""

    def run(open_shared: OpenShared) -> None:
        virtual_time(test)(open_shared)

    run.__name__ = test.__name__
    return pytest.mark.parametrize("open_shared", SHARED.values(), ids=SHARED)(run)


async def fail(store: BreakerStore, times: int = THRESHOLD) -> None:
    for _ in range(times):
        admission = await store.admit("work")
        assert admission is not None
        assert not admission.probe
        await store.settle(admission, Outcome.FAILURE)
        await asyncio.sleep(_TOLD_S)


@in_virtual_time
async def test_failures_in_a_row_close_the_gate_for_everybody_who_shares_it(open_views: Views) -> None:
    one, two = open_views(2)
    await fail(one, THRESHOLD - 1)
    admission = await two.admit("work")
    assert admission is not None
    await two.settle(admission, Outcome.SUCCESS)  # so the count begins anew
    await asyncio.sleep(_TOLD_S)
    await fail(one, THRESHOLD - 1)
    assert await two.admit("work") is not None
    await fail(two, 1)
    assert await one.admit("work") is None
    assert await two.admit("work") is None
    assert await two.admit("other") is not None


@in_virtual_time
async def test_fifty_who_ask_at_once_send_one_probe(open_views: Views) -> None:
    views = open_views(5)
    await fail(views[0])
    await asyncio.sleep(RECOVERY_S)
    asked = await asyncio.gather(*(view.admit("work") for view in views for _ in range(10)))
    (probe,) = [admission for admission in asked if admission is not None]
    assert probe.probe
    await views[1].settle(probe, Outcome.FAILURE)
    await asyncio.sleep(RECOVERY_S - 1)
    assert [await view.admit("work") for view in views] == [None] * 5
    await asyncio.sleep(2)
    asked = await asyncio.gather(*(view.admit("work") for view in views for _ in range(10)))
    (probe,) = [admission for admission in asked if admission is not None]
    await views[2].settle(probe, Outcome.SUCCESS)
    await asyncio.sleep(_TOLD_S)
    asked = await asyncio.gather(*(view.admit("work") for view in views for _ in range(10)))
    assert all(admission is not None and not admission.probe for admission in asked)


@in_virtual_time
async def test_a_probe_that_was_given_up_lets_the_next_one_through(open_views: Views) -> None:
    one, two = open_views(2)
    await fail(one)
    await asyncio.sleep(RECOVERY_S)
    probe = await one.admit("work")
    assert probe is not None
    assert await two.admit("work") is None
    await one.settle(probe, Outcome.GIVEN_UP)
    await asyncio.sleep(_TOLD_S)
    after = await two.admit("work")
    assert after is not None
    assert after.probe


@in_virtual_time
async def test_what_ends_late_counts_for_nothing(open_views: Views) -> None:
    one, two = open_views(2)
    before = [await one.admit("work") for _ in range(2)]
    await fail(two)
    for admission, outcome in zip(before, (Outcome.SUCCESS, Outcome.FAILURE), strict=True):
        assert admission is not None
        await one.settle(admission, outcome)
    await asyncio.sleep(_TOLD_S)
    assert await one.admit("work") is None  # the success did not open the gate
    await asyncio.sleep(RECOVERY_S)
    assert await one.admit("work") is not None  # the failure did not lengthen the time


@in_virtual_time
async def test_open_is_told_no_longer_than_it_is_true(open_views: Views) -> None:
    one, two = open_views(2)
    await fail(one)
    assert await two.admit("work") is None
    assert two.states()["work"] is BreakerState.OPEN
    await asyncio.sleep(RECOVERY_S)
    assert two.states()["work"] is not BreakerState.OPEN
    assert await two.admit("work") is not None


@in_virtual_time
async def test_settling_is_not_lost_when_its_task_is_cancelled(open_views: Views) -> None:
    async def hangs(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        if broken:
            raise ToolError("down")
        await asyncio.sleep(60)
        return ToolAnswer({})

    broken = True
    (store,) = open_views(1)
    tool = Tool("work", "Works.", {"type": "object"}, hangs, fallback="No.", timeout_s=100, read_only=False)
    router = ToolRouter(ToolRegistry(tool), SETTINGS, LoopClock(), breakers=store)
    context = ToolContext(CallId("call-1"), "+15550100", verified=True, locale="en-US")
    for _ in range(THRESHOLD):
        await router.run(ToolCall("t1", "work", ""), context)
        await asyncio.sleep(_TOLD_S)
    broken = False
    await asyncio.sleep(RECOVERY_S)
    probe = asyncio.create_task(router.run(ToolCall("t1", "work", ""), context))
    await asyncio.sleep(1)
    probe.cancel()
    await asyncio.wait({probe})
    await asyncio.sleep(_TOLD_S)
    assert (await router.run(ToolCall("t1", "work", ""), context)).status is ToolStatus.OK


@shared_in_virtual_time
async def test_a_probe_whose_process_died_is_given_up_in_time(open_shared: OpenShared) -> None:
    shared = open_shared(2)
    one, two = shared.views
    await fail(one)
    await asyncio.sleep(RECOVERY_S)
    assert await one.admit("work") is not None
    assert await two.admit("work") is None
    await asyncio.sleep(shared.probe_ttl_s)
    assert await two.admit("work") is not None


@shared_in_virtual_time
async def test_a_store_that_cannot_be_reached_admits_soon(open_shared: OpenShared) -> None:
    shared = open_shared(1)
    (store,) = shared.views
    await fail(store)
    shared.cut_off()
    clock = LoopClock()
    started_s = clock.now()
    admission = await store.admit("work")
    assert admission is not None
    await store.settle(admission, Outcome.FAILURE)
    assert clock.now() - started_s <= 2 * shared.give_up_s
    await asyncio.sleep(_TOLD_S)
