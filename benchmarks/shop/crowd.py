"""Fifty calls at once while a tool's far side fails: what the breaker lets through, what is written, what callers are told.

Real sessions, machine, journal, router, breakers, HTTP client and order system; ear, voice and language model are scripts
(``evaluation/text_call.py``). What is claimed about the far side is counted there: requests at its board, rows in its
database.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import func, select

from voice_agent.clock import LoopClock
from voice_agent.config import ShopSettings, ToolSettings
from voice_agent.conversation.events import SegmentWritten, ToolReturned
from voice_agent.demo_backend import tables
from voice_agent.demo_backend.faults import Endpoint, Fault, FaultBoard, Trouble
from voice_agent.demo_backend.server import RunningShop, running_shop
from voice_agent.evaluation.text_call import NoMeaning, OnePin, TextCall
from voice_agent.models import Role, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.circuit_breaker import BreakerState
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.providers.web import WebClient
from voice_agent.tools.backend_client import ShopClient
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.shop import shop_tools
from voice_agent.tools.verify_pin import verify_pin_tool

AT_ONCE = 50
THRESHOLD = 5
RECOVERY_S = 2.0
DONE, CHAT = "That has been done.", "It is nice to talk to you."
_NO_WAIT_MS = 100.0  # of a call that finds the breaker open: it awaits nothing, but fifty share a busy loop
_PIN = "8265"

# What befalls a write: half of the time nothing, else anything. Weights, and how late a slow answer is.
_RANDOM = {
    None: 7,
    Fault.REFUSED: 2,
    Fault.SLOW: 2,
    Fault.HANG: 1,
    Fault.SERVER_ERROR: 2,
    Fault.GARBAGE: 1,
    Fault.EMPTY: 1,
    Fault.LOST_ANSWER: 3,
    Fault.HANG_AFTER: 2,
    Fault.ERROR_AFTER: 2,
}
_SLOW_S = (0.2, 1.0, 1.45, 1.6)


class WanderingWall(LoopClock):
    """A wall clock that somebody keeps setting: nothing that is measured here may follow it."""

    def __init__(self) -> None:
        self._rng = random.Random(7)

    def wall(self) -> datetime:
        return super().wall() + timedelta(hours=self._rng.uniform(-48, 48))


class Clerk:
    """The language model of one call: asks for its tool when the caller says "please", and tells what came of it. ``gate``
    lets all clerks ask at the same moment."""

    def __init__(self, tool: str, arguments: Mapping[str, str], gate: asyncio.Event) -> None:
        self.tool = tool
        self._arguments = json.dumps(arguments)
        self._gate = gate
        self._asked = 0
        self.waiting = False

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        last = request.messages[-1]
        if last.role is Role.TOOL and last.tool_result is not None:
            yield TextDelta(DONE if last.tool_result.status is ToolStatus.OK else f"It says {last.tool_result.reason}.")
        elif "please" in last.text:
            self.waiting = True
            await self._gate.wait()
            self.waiting = False
            self._asked += 1
            yield ToolCallRequested(ToolCall(f"{self.tool}-{self._asked}", self.tool, self._arguments))
        else:
            yield TextDelta(CHAT)
        yield LlmFinished()


class RandomBoard(FaultBoard):
    """A board on which each request of a writing endpoint meets a fault of its own, while ``wild``."""

    def __init__(self) -> None:
        super().__init__()
        self.wild = False
        self.struck: Counter[str] = Counter()
        self._rng = random.Random(20261130)

    def take(self, endpoint: Endpoint) -> Trouble | None:
        trouble = super().take(endpoint)
        if not self.wild or endpoint not in (Endpoint.CANCEL_ORDER, Endpoint.CALLBACK_REQUEST):
            return trouble
        fault = self._rng.choices(list(_RANDOM), list(_RANDOM.values()))[0]
        self.struck[fault or "none"] += 1
        return Trouble(fault, slow_s=self._rng.choice(_SLOW_S)) if fault else None


@dataclass
class Report:
    """``rows`` are (what, figure, whether it is as it should be)."""

    rows: list[tuple[str, str, bool]] = field(default_factory=list)

    def note(self, what: str, figure: object, right: bool) -> None:
        self.rows.append((what, str(figure), right))


@dataclass
class Caller:
    """One call of the crowd."""

    call: TextCall
    clerk: Clerk
    order_id: str
    caller_id: str

    async def wants_it(self) -> None:
        await self.call.say("please do it")
        if self.clerk.tool == "cancel_order":
            await self.call.say("yes please")

    def results(self, since: int = 0) -> list[ToolResult]:
        return [r.entry.result for r in self.call.log[since:] if isinstance(r.entry, ToolReturned)]

    def told(self, since: int = 0) -> list[str]:
        """What the agent said, sentence by sentence."""
        return [r.entry.text for r in self.call.log[since:] if isinstance(r.entry, SegmentWritten)]


class Crowd:
    """Where fifty calls meet one shop, through one router."""

    def __init__(self, shop: RunningShop, web: WebClient, board: RandomBoard) -> None:
        self.shop, self.board = shop, board
        self.gate = asyncio.Event()
        self.gate.set()
        self._clock = WanderingWall()
        settings = ShopSettings.model_construct(api_url=shop.url, api_token=SecretStr(shop.token), api_timeout_ms=1500)
        self.tools = ToolRegistry(*shop_tools(ShopClient(web, settings)), verify_pin_tool(OnePin(_PIN)))
        self.router = self._router()
        self._number = 0

    def _router(self) -> ToolRouter:
        limits = ToolSettings.model_construct(cb_failure_threshold=THRESHOLD, cb_recovery_s=RECOVERY_S)
        return ToolRouter(self.tools, limits, self._clock)

    async def open_orders(self) -> list[tuple[str, str]]:
        """(caller, order) of everything that can be cancelled."""
        orders = tables.orders.c
        async with self.shop.database.read() as connection:
            rows = await connection.execute(
                select(orders.caller_id, orders.order_id).where(orders.status == "processing").order_by(orders.order_id)
            )
            return [(row.caller_id, row.order_id) for row in rows]

    async def customers(self) -> list[tuple[str, str]]:
        """Everybody, with no order in mind."""
        async with self.shop.database.read() as connection:
            rows = await connection.execute(select(tables.callers.c.caller_id).order_by(tables.callers.c.caller_id))
            return [(row.caller_id, "") for row in rows]

    @asynccontextmanager
    async def calls(self, tool: str, whose: list[tuple[str, str]]) -> AsyncIterator[list[Caller]]:
        """Calls of verified callers, one each."""
        async with AsyncExitStack() as stack:
            callers = []
            for caller_id, order_id in whose:
                arguments = {"topic": "an invoice"} if tool == "callback_request" else {"order_id": order_id}
                clerk = Clerk(tool, arguments, self.gate)
                self._number += 1
                call = TextCall(
                    clerk,
                    NoMeaning(),
                    self.tools,
                    self.router,
                    OnePin(_PIN),
                    self._clock,
                    caller_id=caller_id,
                    call_id=f"call-{self._number}",
                    patience_s=60.0,
                )
                callers.append(Caller(call, clerk, order_id, caller_id))
            await asyncio.gather(*(stack.enter_async_context(caller.call) for caller in callers))
            await asyncio.gather(*(caller.call.press(_PIN) for caller in callers))
            yield callers

    def state(self, tool: str) -> BreakerState:
        return self.router.breaker_states().get(tool, BreakerState.CLOSED)


@asynccontextmanager
async def crowd(folder: Path) -> AsyncIterator[Crowd]:
    board, web = RandomBoard(), WebClient()
    async with running_shop(state_dir=folder, token="tool-faults-run", clock=LoopClock(), faults=board) as shop:
        try:
            yield Crowd(shop, web, board)
        finally:
            await web.aclose()


# The breaker


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
        board.set(endpoint, Fault.SLOW, slow_s=1.0)
        asked, results = await _probed(crowd, callers)
        well = sum(result.status is ToolStatus.OK for result in results)
        report.note(f"requests when {at_once} asked at once: a probe that succeeds", asked, (asked, well) == (1, 1))
        report.note(
            "state after the probe succeeded", crowd.state("order_status"), crowd.state("order_status") == "closed"
        )
        board.set(endpoint, None)
        asked, results = await _at_once(crowd, callers)
        well = sum(result.status is ToolStatus.OK for result in results)
        report.note("served when all asked again", well, (asked, well) == (at_once, at_once))
        fallback = crowd.tools.find("order_status").fallback  # type: ignore[union-attr]  # the shop's tools have it
        heard = sum(caller.told().count(fallback) for caller in callers)
        report.note("fallbacks heard, one for each refusal or failure", heard, heard == 3 * at_once - 1)


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


# Writes


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
    report.note("what their requests met", faults, len(crowd.board.struck) > len(_RANDOM) // 2)
    report.note("told done / not done / nobody knows", f"{told['done']} / {told['not done']} / {told['unsure']}", True)
    report.note("told otherwise than it was", len(lies), not lies)
    for lie in lies[:5]:
        report.note("", lie, False)
    healed = told["done again"]
    report.note("asked again when the shop was well: told done", healed, healed == told["not done"] + told["unsure"])
    report.note("changes made twice", double, double == 0)


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
        for caller in again:  # one after another: the first of each tool is the probe
            since = len(caller.call.log)
            await caller.wants_it()
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
    async with crowd.shop.database.read() as connection:
        return int((await connection.execute(query)).scalar_one())


async def _doubles(crowd: Crowd) -> int:
    """Orders that were refunded more than once when they were cancelled, and callers with several callbacks."""
    refunds, callbacks = tables.refunds.c, tables.callbacks.c
    paid_twice = select(refunds.order_id).where(refunds.return_id.is_(None)).group_by(refunds.order_id)
    called_twice = select(callbacks.caller_id).group_by(callbacks.caller_id)
    async with crowd.shop.database.read() as connection:
        found = [
            len((await connection.execute(query.having(func.count() > 1))).all())
            for query in (paid_twice, called_twice)
        ]
    return sum(found)
