"""Changes under random faults: what is made, how often, and what the callers are told of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack

import numpy as np
from sqlalchemy import func, select

from voice_agent.demo_backend import tables
from voice_agent.providers.circuit_breaker import BreakerState

from .crowd import AT_ONCE, DONE, Caller, Crowd, Report


async def writes(crowd: Crowd, report: Report, calls: int, at_once: int = AT_ONCE) -> None:
    """Calls that change something under random faults, then those again that were not told that it is done."""
    cancelling = (await crowd.open_orders())[: calls // 2]
    calling = (await crowd.customers())[: calls - len(cancelling)]
    told: Counter[str] = Counter()
    lies: list[str] = []
    cases = [("cancel_order", w) for w in cancelling] + [("callback_request", w) for w in calling]
    random.Random(1).shuffle(cases)
    for start in range(0, len(cases), at_once):
        await _wave(crowd, cases[start : start + at_once], told, lies)
    double = await _doubles(crowd)
    report.note("writing calls", len(cases), len(cases) == calls)
    faults = ", ".join(f"{count} {name}" for name, count in sorted(crowd.board.struck.items()))
    report.note("what their requests met", faults, len(crowd.board.struck) > 1)
    report.note("told done / not done / nobody knows", f"{told['done']} / {told['not done']} / {told['unsure']}", True)
    report.note("told otherwise than it was", len(lies), not lies)
    for lie in lies[:5]:
        report.note("", lie, False)
    healed = told["done again"]
    report.note("asked again when the shop was well: told done", healed, healed == told["not done"] + told["unsure"])
    report.note("changes made twice", double, double == 0)


async def pace(crowd: Crowd, report: Report, count: int = 500, at_once: int = AT_ONCE) -> None:
    """How long a change takes when many are asked for at once and nothing fails."""
    orders, room, took_ms = await crowd.open_orders(), asyncio.Semaphore(at_once), list[float]()

    async def one(number: int) -> None:
        caller_id, order_id = orders[number % len(orders)]
        place = {"street": f"{number} New Street", "city": "Salem", "postal_code": "97301"}
        async with room:
            begun_s = time.monotonic()
            await crowd.client.update_address(caller_id, order_id, place, idempotency_key=f"pace-{number}")
            took_ms.append((time.monotonic() - begun_s) * 1000)

    await asyncio.gather(*(one(number) for number in range(count)))
    median, p99 = np.percentile(took_ms, [50, 99])
    report.note(f"a change, {at_once} at once and nothing fails: median, P99", f"{median:.0f}, {p99:.0f} ms", True)


async def _wave(crowd: Crowd, cases: list[tuple[str, tuple[str, str]]], told: Counter[str], lies: list[str]) -> None:
    by_tool = {tool: [whose for name, whose in cases if name == tool] for tool in ("cancel_order", "callback_request")}
    async with AsyncExitStack() as stack:
        callers = [
            caller
            for tool, whose in by_tool.items()
            for caller in await stack.enter_async_context(crowd.calls(tool, whose))
        ]
        crowd.board.wild = True
        await asyncio.gather(*(caller.wants_it() for caller in callers))
        crowd.board.wild = False
        again = []
        for caller in callers:
            said, made = _said(crowd, caller), await _made(crowd, caller)
            told[said] += 1
            if made > 1 or said == "?" or (said == "done" and made != 1) or (said == "not done" and made != 0):
                lies.append(f"{caller.clerk.tool}: told {said}, made {made} times; {caller.told()[-2:]}")
            if said != "done":
                again.append(caller)
        while any(crowd.state(tool) is BreakerState.OPEN for tool in by_tool):  # noqa: ASYNC110 - time alone ends that
            await asyncio.sleep(0.05)
        probes = {caller.clerk.tool: caller for caller in reversed(again)}  # the first of each tool, alone
        rest = [caller for caller in again if caller not in probes.values()]
        begun = [len(caller.call.log) for caller in again]
        for caller in probes.values():
            await caller.wants_it()
        await asyncio.gather(*(caller.wants_it() for caller in rest))  # who waits in silence is hung up on
        for caller, since in zip(again, begun, strict=True):
            said, made = _said(crowd, caller, since), await _made(crowd, caller)
            told["done again"] += said == "done"
            if (said, made) != ("done", 1):
                lies.append(f"{caller.clerk.tool} again: told {said}, made {made} times; {caller.told(since)[-2:]}")


def _said(crowd: Crowd, caller: Caller, since: int = 0) -> str:
    tool = crowd.tools.find(caller.clerk.tool)
    assert tool is not None
    words = {DONE: "done", tool.fallback: "not done", tool.unsure: "unsure"}
    heard = [words[text] for text in caller.told(since) if text in words]
    return heard[0] if len(heard) == 1 else "?"


async def _made(crowd: Crowd, caller: Caller) -> int:
    """How often the change was made, by the shop's own books."""
    refunds, callbacks = tables.refunds, tables.callbacks
    if caller.clerk.tool == "cancel_order":
        query = select(func.count()).select_from(refunds).where(refunds.c.order_id == caller.order_id)
    else:
        query = select(func.count()).select_from(callbacks).where(callbacks.c.caller_id == caller.caller_id)
    async with crowd.database.read() as connection:
        return int((await connection.execute(query)).scalar_one())


async def _doubles(crowd: Crowd) -> int:
    """Orders that were refunded more than once when they were cancelled, and callers with several callbacks."""
    refunds, callbacks = tables.refunds.c, tables.callbacks.c
    paid_twice = select(refunds.order_id).where(refunds.return_id.is_(None)).group_by(refunds.order_id)
    called_twice = select(callbacks.caller_id).group_by(callbacks.caller_id)
    async with crowd.database.read() as connection:
        found = [
            len((await connection.execute(query.having(func.count() > 1))).all())
            for query in (paid_twice, called_twice)
        ]
    return sum(found)
