"""The breaker of a tool whose far side fails: what fifty calls at once get through it."""

from __future__ import annotations

import asyncio
from collections import Counter

from voice_agent.demo_backend.faults import Endpoint, Fault
from voice_agent.models import ToolResult, ToolStatus
from voice_agent.providers.circuit_breaker import BreakerState

from .crowd import AT_ONCE, THRESHOLD, Caller, Crowd, Report

_NO_WAIT_MS = 100.0  # of a call that finds the breaker open: it awaits nothing, but fifty share a busy loop


async def breaker(crowd: Crowd, report: Report, at_once: int = AT_ONCE) -> None:
    """Opens it, asks while it is open, lets one probe fail and one succeed."""
    orders = await crowd.open_orders()
    whose = [orders[n % len(orders)] for n in range(at_once)]
    board, endpoint = crowd.board, Endpoint.GET_ORDER
    board.set(endpoint, Fault.SERVER_ERROR)
    async with crowd.calls("order_status", whose[:1] * THRESHOLD) as first:
        states = []
        for caller in first:
            await caller.wants_it()
            states.append(crowd.state("order_status"))
    opened = states.index(BreakerState.OPEN) + 1 if BreakerState.OPEN in states else 0
    report.note("failed calls until the breaker opened", opened, opened == THRESHOLD)
    async with crowd.calls("order_status", whose) as callers:
        board.set(endpoint, Fault.HANG)
        asked, results = await _at_once(crowd, callers)
        report.note("requests while it was open", asked, asked == 0)
        slowest_ms = max(result.duration_ms for result in results)
        alone = all(result.reason == "breaker_open" for result in results)
        report.note("longest wait while it was open", f"{slowest_ms:.1f} ms", slowest_ms < _NO_WAIT_MS and alone)
        asked, results = await _probed(crowd, callers)
        reasons = Counter(result.reason for result in results)
        report.note(f"requests when {at_once} asked at once: a probe that hangs", asked, asked == 1)
        report.note("refused meanwhile", reasons["breaker_open"], reasons["breaker_open"] == at_once - 1)
        report.note("state after the probe failed", crowd.state("order_status"), crowd.state("order_status") == "open")
        board.set(endpoint, Fault.SLOW, slow_s=0.8)
        asked, results = await _probed(crowd, callers)
        well = sum(result.status is ToolStatus.OK for result in results)
        report.note(f"requests when {at_once} asked at once: a probe that succeeds", asked, (asked, well) == (1, 1))
        report.note(
            "state after the probe succeeded", crowd.state("order_status"), crowd.state("order_status") == "closed"
        )
        board.set(endpoint, None)
        asked, results = await _at_once(crowd, callers)
        # Some may wait in vain for one of the tool's places: a busy machine's limit, not the breaker's.
        reasons = Counter(result.reason for result in results)
        well, busy = reasons[""], reasons["busy"]
        report.note("served, and without a place, when all asked again", f"{well}, {busy}", well + busy == at_once)
        fallback = crowd.tools.find("order_status").fallback
        heard = sum(caller.told().count(fallback) for caller in callers)
        report.note("fallbacks heard, one for each refusal or failure", heard, heard == 3 * at_once - 1 + busy)


async def _probed(crowd: Crowd, callers: list[Caller]) -> tuple[int, list[ToolResult]]:
    """All ask at once as soon as the breaker lets a probe through. They talk of something else before: three failures in a
    row would end their calls."""
    await asyncio.gather(*(caller.call.say("how are you") for caller in callers))
    while crowd.state("order_status") is BreakerState.OPEN:  # noqa: ASYNC110 - time alone ends that
        await asyncio.sleep(0.05)
    return await _at_once(crowd, callers)


async def _at_once(crowd: Crowd, callers: list[Caller]) -> tuple[int, list[ToolResult]]:
    """All callers ask, and their models call the tool at the same moment: requests at the shop, and results."""
    crowd.gate.clear()
    before, since = crowd.board.asked[Endpoint.GET_ORDER], [len(caller.call.log) for caller in callers]
    saying = [asyncio.create_task(caller.wants_it(), name="caller") for caller in callers]
    while not all(caller.clerk.waiting for caller in callers):  # noqa: ASYNC110 - fifty to wait for, once
        await asyncio.sleep(0.02)
    crowd.gate.set()
    await asyncio.gather(*saying)
    results = [result for caller, at in zip(callers, since, strict=True) for result in caller.results(at)]
    return crowd.board.asked[Endpoint.GET_ORDER] - before, results
