"""A small call for tests of the door, and a real server around it.

``EchoCall`` keeps the protocol of ``call.door.LiveCall`` with the real machine and the real event log, but its world is a
tone for every reply, and what it hears comes back as sound once the greeting is over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from voice_agent.agents.book import AgentBook
from voice_agent.audio.frames import silence
from voice_agent.audio.resample import Resampler
from voice_agent.call.door import HEAR_RATE_HZ, SPEAK_RATE_HZ, Door, LiveCall
from voice_agent.clock import LoopClock
from voice_agent.conversation.agent import AgentProfile
from voice_agent.conversation.commands import CancelReply, EndCall, Say, StopForBargeIn
from voice_agent.conversation.events import (
    CallerHungUp,
    CallStarted,
    DtmfReceived,
    Event,
    PlayoutStarted,
    ReplyFinished,
    SegmentWritten,
    SynthesisBegan,
    SynthesisFinished,
)
from voice_agent.conversation.machine import CallMachine, MachineSettings
from voice_agent.gateway.admission import Admission, Ticket
from voice_agent.gateway.busy import early_refusals
from voice_agent.gateway.http import create_http_app
from voice_agent.gateway.server import server_config
from voice_agent.gateway.websocket import StreamingGateway
from voice_agent.models import CallId, Refusal, ReplyId
from voice_agent.observability.event_log import EventLog
from voice_agent.observability.record import RecordSink

GREETING_S = 0.1
FRAME_S = 0.02


class EchoCall:
    """``heard`` is all audio that came in, ``keys`` what was pressed, ``acknowledged`` what was reported as played."""

    def __init__(self, door: Door, caller_id: str, locale: str, sinks: Sequence[RecordSink], *, number: int) -> None:
        self.caller_id = caller_id
        self.locale = locale
        self.agent = ""
        self.heard = bytearray()
        self.keys: list[str] = []
        self.acknowledged: list[tuple[int, float]] = []
        self.resumed = 0
        self.hang_ups: list[str] = []
        self._door = door
        self._call_id = CallId(f"call-{number}")
        self._machine = CallMachine(MachineSettings())
        self._log = EventLog(self._call_id, sinks)
        self._inbox: asyncio.Queue[Event | bytes] = asyncio.Queue(10_000)
        self._resampler = Resampler(HEAR_RATE_HZ, SPEAK_RATE_HZ)
        self._began = LoopClock().now()
        self._ended = False

    def hear(self, pcm: bytes) -> None:
        assert len(pcm) % 2 == 0
        self.heard += pcm
        self._inbox.put_nowait(pcm)

    def press(self, key: str) -> None:
        self.keys.append(key)
        self._inbox.put_nowait(DtmfReceived(key))

    def acknowledge(self, reply_id: ReplyId, played_s: float) -> None:
        self.acknowledged.append((reply_id, played_s))

    def resume(self) -> None:
        self.resumed += 1

    def hang_up(self, reason: str) -> None:
        self.hang_ups.append(reason)
        self._inbox.put_nowait(CallerHungUp(reason))

    async def run(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._handle(CallStarted(self._call_id, self.caller_id, "en-US", self.locale, "2026-01-01T00:00:00Z"))
            while not self._ended:
                item = await self._inbox.get()
                if isinstance(item, bytes):
                    await deliver(self._door, self._resampler.process(item))
                else:
                    await self._handle(item)
            return
        await self._handle(CallerHungUp("lost"))

    async def _handle(self, event: Event) -> None:
        now = LoopClock().now() - self._began
        self._log.append(now, event)
        commands = self._machine.handle(event, now)
        for command in commands:
            self._log.append(now, command)
        for command in commands:
            match command:
                case Say(reply_id=reply_id, segments=segments):
                    await self._speak(reply_id, segments)
                case StopForBargeIn(reply_id=reply_id) | CancelReply(reply_id=reply_id):
                    self._door.clear(reply_id)
                case EndCall():
                    self._ended = True
                case _:
                    pass

    async def _speak(self, reply_id: ReplyId, segments: Sequence[str]) -> None:
        for index, text in enumerate(segments):
            await self._handle(SegmentWritten(reply_id, index, text))
            await self._handle(SynthesisFinished(reply_id, index, GREETING_S / len(segments)))
        await self._handle(PlayoutStarted(reply_id))
        for _ in range(round(GREETING_S / FRAME_S)):
            await deliver(self._door, silence(FRAME_S, SPEAK_RATE_HZ))
        await self._handle(ReplyFinished(reply_id, GREETING_S))


async def deliver(door: Door, pcm: bytes) -> None:
    """As a playout does: what the door refuses is offered again a little later."""
    while not door.send_audio(pcm):  # noqa: ASYNC110 - a door says nothing when it has room again
        await asyncio.sleep(FRAME_S)


class StuckCall(EchoCall):
    """Never ends by itself."""

    async def run(self) -> None:
        await asyncio.Event().wait()


class StuckInGreeting(EchoCall):
    """Its replies start and never finish."""

    async def _speak(self, reply_id: ReplyId, segments: Sequence[str]) -> None:
        await self._handle(SegmentWritten(reply_id, 0, segments[0]))
        await self._handle(SynthesisBegan(reply_id, 0))
        await self._handle(PlayoutStarted(reply_id))


class FailingCall(EchoCall):
    async def run(self) -> None:
        raise ValueError("the call broke")


class TalkativeCall(EchoCall):
    """Sends audio as fast as the door takes it, until it is hung up or the client is gone."""

    async def run(self) -> None:
        with contextlib.suppress(ConnectionError):
            while not self.hang_ups:
                await deliver(self._door, silence(0.5, SPEAK_RATE_HZ))
                await asyncio.sleep(0)
        await self._handle(CallStarted(self._call_id, self.caller_id, "en-US", self.locale, "2026-01-01T00:00:00Z"))
        await self._handle(CallerHungUp(self.hang_ups[0] if self.hang_ups else "lost"))


class FixedMetrics:
    def render(self) -> bytes:
        return b"# HELP voice_active_sessions calls\nvoice_active_sessions 0\n"


@dataclass
class Served:
    """A running server; ``calls`` are those it has opened."""

    port: int
    admission: Admission
    gateway: StreamingGateway
    server: uvicorn.Server
    calls: list[EchoCall] = field(default_factory=list)

    def ws(self, query: str = "") -> str:
        return f"ws://127.0.0.1:{self.port}/ws/call?{query}"

    def http(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def idle(self) -> bool:
        """Whether every call has ended, at the latest in 10 s."""
        return await self.admission.drained(10)


@contextlib.asynccontextmanager
async def served(
    call_type: type[EchoCall] = EchoCall,
    *,
    capacity: int = 8,
    warm: bool = True,
    server_options: dict[str, Any] | None = None,
    early: bool = False,
    on_refused: Callable[[Refusal], None] = lambda why: None,
    agents: AgentBook | None = None,
    **gateway_options: Any,
) -> AsyncIterator[Served]:
    """The door on a free port of this machine, served by uvicorn as the program serves it."""
    admission = Admission(capacity=capacity, clock=LoopClock(), on_refused=on_refused)
    calls: list[EchoCall] = []
    agents = agents or AgentBook(AgentProfile())

    def open_call(
        *,
        door: Door,
        agent: AgentProfile,
        caller_id: str,
        locale: str,
        ticket: Ticket,
        extra_sinks: Sequence[RecordSink],
    ) -> LiveCall:
        calls.append(call_type(door, caller_id, locale, extra_sinks, number=ticket.entry.number))
        calls[-1].agent = agent.name
        return calls[-1]

    gateway = StreamingGateway(
        admission=admission,
        open_call=open_call,
        clock=LoopClock(),
        machine_settings=MachineSettings(),
        agents=agents,
        **gateway_options,
    )
    app = create_http_app(
        admission=admission,
        agents=agents,
        metrics=FixedMetrics(),
        doors={"/ws/call": gateway},
        version="0",
        access_token=gateway_options.get("access_token", ""),
    )
    if warm:
        admission.open()
    options = dict(server_options or {})
    if early:
        options["http"] = early_refusals(admission, ["/ws/call"], gateway_options.get("busy_clip"))
    config = server_config(app, host="127.0.0.1", port=0, **options)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())  # not serve(): that would take over the test run's signals
    try:
        while not server.started:
            assert not running.done(), "the server did not start"
            await asyncio.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(port, admission, gateway, server, calls)
    finally:
        server.should_exit = True
        await running
