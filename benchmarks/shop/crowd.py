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
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import select

from voice_agent.clock import LoopClock
from voice_agent.config import ShopSettings, ToolSettings
from voice_agent.conversation.events import SegmentWritten, ToolReturned
from voice_agent.demo_backend import tables
from voice_agent.demo_backend.database import ShopDatabase, open_shop_database
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
DONE, CHAT = "That has been done.", "It is nice to talk to you."
_PIN = "8265"
_TOKEN = "tool-faults-run"  # not a real one
_START_S = 60.0

# What befalls a write: three times in ten nothing, else anything. Weights, and how late a slow answer is.
RANDOM = {
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
        fault = self._rng.choices(list(RANDOM), list(RANDOM.values()))[0]
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
        if self.clerk.tool in ("cancel_order", "callback_request"):  # these ask first
            await self.call.say("yes please")

    def results(self, since: int = 0) -> list[ToolResult]:
        return [r.entry.result for r in self.call.log[since:] if isinstance(r.entry, ToolReturned)]

    def told(self, since: int = 0) -> list[str]:
        """What the agent said, sentence by sentence."""
        return [r.entry.text for r in self.call.log[since:] if isinstance(r.entry, SegmentWritten)]


class Crowd:
    """Where fifty calls meet one shop, through one router."""

    def __init__(
        self,
        shop: RunningShop,
        database: ShopDatabase,
        web: WebClient,
        board: RandomBoard,
        recovery_s: float,
        request_ms: int,
    ) -> None:
        self.database, self.board = database, board
        self.gate = asyncio.Event()
        self.gate.set()
        self._clock = WanderingWall()
        self.client = ShopClient(
            web,
            ShopSettings.model_construct(api_url=shop.url, api_token=SecretStr(shop.token), api_timeout_ms=request_ms),
        )
        self.tools = ToolRegistry(*shop_tools(self.client), verify_pin_tool(OnePin(_PIN)))
        limits = ToolSettings.model_construct(cb_failure_threshold=THRESHOLD, cb_recovery_s=recovery_s)
        self.router = ToolRouter(self.tools, limits, self._clock)
        self._number = 0

    async def open_orders(self) -> list[tuple[str, str]]:
        """(caller, order) of everything that can be cancelled."""
        orders = tables.orders.c
        async with self.database.read() as connection:
            rows = await connection.execute(
                select(orders.caller_id, orders.order_id).where(orders.status == "processing").order_by(orders.order_id)
            )
            return [(row.caller_id, row.order_id) for row in rows]

    async def customers(self) -> list[tuple[str, str]]:
        """Everybody, with no order in mind."""
        async with self.database.read() as connection:
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
async def crowd(folder: Path, recovery_s: float = 2.0, request_ms: int = 1500) -> AsyncIterator[Crowd]:
    """``recovery_s``: of the breakers; ``request_ms``: what one request to the shop may take."""
    board, web = RandomBoard(), WebClient()
    with _shop_in_thread(folder, board) as shop:
        async with open_shop_database("", folder) as database:
            try:
                yield Crowd(shop, database, web, board, recovery_s, request_ms)
            finally:
                await web.aclose()


@contextmanager
def _shop_in_thread(folder: Path, board: FaultBoard) -> Iterator[RunningShop]:
    """In an event loop of its own: in that of the calls each of its statements would wait behind all their work. The board
    is changed from outside, in single steps."""
    started: Future[tuple[RunningShop, asyncio.AbstractEventLoop]] = Future()
    stop = asyncio.Event()

    async def serve() -> None:
        async with running_shop(state_dir=folder, token=_TOKEN, clock=LoopClock(), faults=board) as shop:
            started.set_result((shop, asyncio.get_running_loop()))
            await stop.wait()

    with ThreadPoolExecutor(1, thread_name_prefix="shop") as pool:
        served = pool.submit(asyncio.run, serve())
        try:
            shop, loop = started.result(timeout=_START_S)
            yield shop
        finally:
            if started.done():
                loop.call_soon_threadsafe(stop.set)
            served.result(timeout=_START_S)
