"""What every door keeps, whatever it speaks on the far side: the contract of ``call.door``.

A new gateway adds its harness to ``DOORS``; the tests play on virtual time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest
from tests.unit.gateway.calls import deliver
from tests.virtual_time import run_virtual

from voice_agent.agents.book import AgentBook
from voice_agent.call.door import SPEAK_RATE_HZ, Door, LiveCall
from voice_agent.clock import LoopClock
from voice_agent.conversation.agent import AgentProfile
from voice_agent.conversation.machine import MachineSettings
from voice_agent.gateway.admission import Admission, Ticket
from voice_agent.gateway.websocket import StreamingGateway
from voice_agent.models import ReplyId
from voice_agent.observability.record import RecordSink

CHUNK = bytes(range(240)) * 4  # 20 ms at 24 kHz


class ProbeCall:
    """A call that does nothing by itself: the test acts through its door."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.heard = bytearray()
        self.keys: list[str] = []
        self.hang_ups: list[str] = []
        self.over = asyncio.Event()

    def hear(self, pcm: bytes) -> None:
        assert len(pcm) % 2 == 0, "a call gets whole samples"
        self.heard += pcm

    def press(self, key: str) -> None:
        self.keys.append(key)

    def acknowledge(self, reply_id: ReplyId, played_s: float) -> None: ...

    def resume(self) -> None: ...

    def hang_up(self, reason: str) -> None:
        self.hang_ups.append(reason)
        self.over.set()

    async def run(self) -> None:
        await self.over.wait()


class FarSide(Protocol):
    """A caller as the door's medium shows it. Audio both ways is in the call's own format here."""

    call: ProbeCall
    admission: Admission

    def received(self) -> bytes:
        """All audio that has arrived."""
        ...

    def speak(self, pcm: bytes) -> None: ...

    def stall(self) -> None:
        """Takes nothing more until ``flow``."""
        ...

    def flow(self) -> None: ...

    def leave(self) -> None:
        """Ends the call from this side, properly."""
        ...

    def vanish(self) -> None:
        """Is gone without a word."""
        ...


class WebSocketCaller:
    """A client of ``StreamingGateway``, at the ASGI boundary; each delivery takes a millisecond."""

    def __init__(self, gateway: StreamingGateway, admission: Admission) -> None:
        self.call: ProbeCall
        self.admission = admission
        self.frames: list[dict[str, Any]] = []
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._gone = False
        self._inbox.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/ws/call", "query_string": b"events=1", "headers": []}
        self.connection = asyncio.ensure_future(gateway(scope, self._inbox.get, self._take))

    async def _take(self, message: Any) -> None:
        await asyncio.sleep(0.001)
        await self._flowing.wait()
        if self._gone:
            raise OSError("the connection is gone")
        self.frames.append(message)

    def received(self) -> bytes:
        return b"".join(frame["bytes"] for frame in self.frames if "bytes" in frame)

    def speak(self, pcm: bytes) -> None:
        self._inbox.put_nowait({"type": "websocket.receive", "bytes": pcm})

    def stall(self) -> None:
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def leave(self) -> None:
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1000, "reason": ""})

    def vanish(self) -> None:
        self._gone = True
        self._flowing.set()


@asynccontextmanager
async def websocket_caller() -> AsyncIterator[FarSide]:
    admission = Admission(capacity=1, clock=LoopClock())
    admission.open()
    opened: asyncio.Queue[ProbeCall] = asyncio.Queue()

    def open_call(
        *,
        door: Door,
        agent: AgentProfile,
        caller_id: str,
        locale: str,
        ticket: Ticket,
        extra_sinks: Sequence[RecordSink],
    ) -> LiveCall:
        call = ProbeCall(door)
        opened.put_nowait(call)
        return call

    gateway = StreamingGateway(
        admission=admission,
        open_call=open_call,
        clock=LoopClock(),
        machine_settings=MachineSettings(),
        agents=AgentBook(AgentProfile()),
    )
    caller = WebSocketCaller(gateway, admission)
    caller.call = await asyncio.wait_for(opened.get(), 5)
    try:
        yield caller
    finally:
        caller.call.over.set()
        caller.flow()
        await caller.connection


DOORS: dict[str, Callable[[], AbstractAsyncContextManager[FarSide]]] = {"websocket": websocket_caller}

Play = Callable[[Callable[[FarSide], Awaitable[None]]], None]


@pytest.fixture(params=DOORS)
def play(request: pytest.FixtureRequest) -> Play:
    """Runs a scene with a connected caller on virtual time."""

    def run(scene: Callable[[FarSide], Awaitable[None]]) -> None:
        async def with_caller() -> None:
            async with DOORS[request.param]() as caller:
                await scene(caller)

        run_virtual(with_caller(), limit_s=120)

    return run


def test_audio_arrives_whole_and_in_order(play: Play) -> None:
    async def scene(caller: FarSide) -> None:
        sent = b"".join(bytes([n]) * 960 for n in range(50))
        for at in range(0, len(sent), 960):
            await deliver(caller.call.door, sent[at : at + 960])
        await asyncio.sleep(1)
        assert caller.received() == sent

    play(scene)


def test_a_slow_far_side_holds_the_call_back(play: Play) -> None:
    async def scene(caller: FarSide) -> None:
        caller.stall()
        accepted = 0

        async def talk() -> None:
            nonlocal accepted
            while True:
                await deliver(caller.call.door, CHUNK)
                accepted += 1

        talking = asyncio.ensure_future(talk())
        await asyncio.sleep(2)
        assert accepted * len(CHUNK) / (2 * SPEAK_RATE_HZ) <= 0.2
        caller.flow()
        await asyncio.sleep(0.5)
        assert accepted > 50
        talking.cancel()

    play(scene)


def test_clear_takes_back_what_has_not_left(play: Play) -> None:
    async def scene(caller: FarSide) -> None:
        caller.stall()
        for _ in range(4):
            await deliver(caller.call.door, CHUNK)
        await asyncio.sleep(0.1)
        caller.call.door.clear(ReplyId(1))
        caller.flow()
        await deliver(caller.call.door, b"\x01\x02" * 480)
        await asyncio.sleep(0.1)
        arrived = caller.received()
        assert arrived.endswith(b"\x01\x02" * 480)
        assert len(arrived) <= 2 * 960  # at most the chunk that was already on its way

    play(scene)


def test_refused_audio_leaves_nothing_behind(play: Play) -> None:
    async def scene(caller: FarSide) -> None:
        caller.stall()
        taken = [caller.call.door.send_audio(CHUNK) for _ in range(20)]
        await asyncio.sleep(0.1)
        assert not all(taken)
        caller.flow()
        await asyncio.sleep(1)
        assert len(caller.received()) == sum(taken) * len(CHUNK)

    play(scene)


def test_speech_arrives_in_whole_samples(play: Play) -> None:
    async def scene(caller: FarSide) -> None:
        said = bytes(n % 251 for n in range(6_401))
        for at in range(0, len(said), 333):
            caller.speak(said[at : at + 333])
        await asyncio.sleep(5)
        assert bytes(caller.call.heard) == said[:-1]

    play(scene)


def test_leaving_is_a_hang_up_and_frees_the_place(play: Play) -> None:
    async def scene(caller: FarSide) -> None:
        assert caller.admission.status().active == 1
        caller.leave()
        assert await caller.admission.drained(5)
        assert caller.call.hang_ups == ["hangup"]

    play(scene)


def test_a_far_side_that_vanished_is_lost_at_the_next_sound(play: Play) -> None:
    async def scene(caller: FarSide) -> None:
        caller.vanish()
        with pytest.raises(ConnectionError):  # noqa: PT012 - which of the sends notices it is the door's affair
            for _ in range(50):
                await deliver(caller.call.door, CHUNK)
                await asyncio.sleep(0.02)
        with pytest.raises(ConnectionError):
            caller.call.door.clear(ReplyId(1))
        assert caller.call.hang_ups == ["lost"]
        assert await caller.admission.drained(5)

    play(scene)


def test_a_far_side_that_takes_nothing_is_given_up(play: Play) -> None:
    async def scene(caller: FarSide) -> None:
        caller.stall()
        with pytest.raises(ConnectionError):  # noqa: PT012
            while True:
                await deliver(caller.call.door, CHUNK)
        assert caller.call.hang_ups == ["overflow"]
        assert await caller.admission.drained(20)

    play(scene)


def test_a_call_that_ends_by_itself_frees_the_place_and_lets_the_last_words_out(play: Play) -> None:
    async def scene(caller: FarSide) -> None:
        await deliver(caller.call.door, CHUNK)
        caller.call.over.set()
        assert await caller.admission.drained(5)
        assert caller.received() == CHUNK
        assert caller.call.hang_ups == []

    play(scene)
