"""A simulated caller: a WebSocket client that behaves as a phone does.

From the moment the call is placed it sends one frame every 20 ms on absolute deadlines, silence where it has nothing to
say; a frame leaves when its last sample would have been captured. What it receives goes into a model of a playback
buffer (``caller_audio.PlaybackBuffer``), so that "heard" means played by a client that honours pacing and ``clear``.
Times are seconds on the event loop's clock.

No wait is a guessed sleep: each ends by what arrived, by the end of the call, or by its timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from voice_agent.audio.frames import bytes_for
from voice_agent.errors import CallError
from voice_agent.evaluation.caller_audio import Heard, PlaybackBuffer, voiced_span
from voice_agent.evaluation.caller_line import CallerLine

FRAME_S = 0.02
_QUIET_S = 0.4  # with state frames: two replies of one turn follow each other faster than this
_QUIET_PLAIN_S = 1.2  # without them: longer than any pause inside a reply
_LEAVE_S = 2.0


@dataclass(frozen=True, slots=True)
class CallOptions:
    """How a call is placed; see docs/protocol.md. ``token`` goes into the Authorization header."""

    caller_id: str = ""
    locale: str = "en-US"
    agent: str = ""
    called: str = ""
    events: bool = True
    in_rate_hz: int = 16_000
    out_rate_hz: int = 24_000
    token: str = ""

    def query(self) -> str:
        asked = {
            "caller_id": self.caller_id,
            "locale": self.locale,
            "events": int(self.events),
            "in_rate": self.in_rate_hz,
            "out_rate": self.out_rate_hz,
        }
        chosen = {name: value for name, value in (("agent", self.agent), ("called", self.called)) if value}
        return urlencode({**asked, **chosen})


@dataclass(frozen=True, slots=True)
class CallFrame:
    """A text frame from the server, with the time of its arrival."""

    at_s: float
    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something the caller said: its place in time. ``sent`` is set once its last sample has left."""

    start_s: float
    end_s: float
    first_voiced_s: float
    last_voiced_s: float
    sent: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class CallClosed:
    """How the connection ended, as the far side said it."""

    at_s: float
    code: int
    reason: str


class SimulatedCaller:
    """One call, from entering (the connection is made) to leaving (it is closed, whatever state it is in).

    ``url`` is the server's base, ``ws://127.0.0.1:8000``; http and https are understood as well. Entering raises
    ``CallError`` where there is no such server. A refusal after the handshake is no exception: see ``closed``.
    ``on_frame`` is called with each text frame as it arrives. ``line`` adds noise or echo to what is sent.
    """

    def __init__(
        self,
        url: str,
        options: CallOptions | None = None,
        *,
        on_frame: Callable[[CallFrame], None] = lambda _: None,
        line: CallerLine | None = None,
    ) -> None:
        self.options = options or CallOptions()
        if line is not None and line.echo is not None and self.options.in_rate_hz != self.options.out_rate_hz:
            raise ValueError("an echo needs in_rate_hz and out_rate_hz to be the same")
        self._on_frame = on_frame
        self._line = line
        base = url.rstrip("/").replace("http://", "ws://", 1).replace("https://", "wss://", 1)
        self.url = f"{base}/ws/call?{self.options.query()}"
        self.events: list[CallFrame] = []
        self.playback = PlaybackBuffer(self.options.out_rate_hz)
        self.closed: CallClosed | None = None
        self.started_s = 0.0
        self.utterances: list[Utterance] = []
        self.worst_lateness_s = 0.0  # how far the sender ever fell behind its deadlines
        self._frame_bytes = bytes_for(FRAME_S, self.options.in_rate_hz)
        self._to_say = bytearray()
        self._ends: list[tuple[int, Utterance]] = []  # (position in the sent track, who ends there)
        self._sent = bytearray()
        self._changed = asyncio.Event()
        self._socket: ClientConnection | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        headers = {"Authorization": f"Bearer {self.options.token}"} if self.options.token else None
        try:
            self._socket = await connect(
                self.url, compression=None, max_size=None, proxy=None, additional_headers=headers
            )
        except InvalidHandshake as error:
            raise CallError(f"{self.url} refused the call: {error}") from None
        except (OSError, InvalidURI, TimeoutError) as error:
            raise CallError(f"no call server answers at {self.url}: {error}") from None
        self.started_s = self.now()
        self._tasks = await asyncio.TaskGroup().__aenter__()
        self._running = [
            self._tasks.create_task(self._send_frames(self._socket), name="caller-sends"),
            self._tasks.create_task(self._receive(self._socket), name="caller-hears"),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._socket is not None
        assert self._tasks is not None
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LEAVE_S):
                    await self._socket.close()
        finally:
            for task in self._running:
                task.cancel()
            await self._tasks.__aexit__(None, None, None)

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    # -- speaking

    def begin(self, pcm: bytes) -> Utterance:
        """Starts to say a recording (mono, ``in_rate_hz``) behind what is still being said; returns at once."""
        rate_hz = self.options.in_rate_hz
        position = len(self._sent) + len(self._to_say)
        start_s = self.started_s + position / (2 * rate_hz)
        span = voiced_span(pcm, rate_hz) or (0.0, 0.0)
        self._to_say += pcm + bytes(-len(pcm) % self._frame_bytes)
        end_s = start_s + len(pcm) / (2 * rate_hz)
        utterance = Utterance(start_s, end_s, start_s + span[0], start_s + span[1])
        self.utterances.append(utterance)
        self._ends.append((position + len(pcm), utterance))
        return utterance

    async def say(self, pcm: bytes) -> Utterance:
        """Says a recording in real time, to its end. Raises ``CallError`` if the call ends before that."""
        utterance = self.begin(pcm)
        while not utterance.sent.is_set():
            self._raise_if_closed("the caller had spoken")
            await self._next_change(None)
        return utterance

    async def press(self, key: str) -> None:
        await self._send_text({"type": "dtmf", "key": key})

    async def acknowledge(self, reply_id: int, played_ms: float) -> None:
        await self._send_text({"type": "playback", "reply_id": reply_id, "played_ms": played_ms})

    async def hang_up(self) -> None:
        """Ends the call politely: by a control frame where the protocol has one, else by closing."""
        if self.options.events and self.closed is None:
            await self._send_text({"type": "hangup"})
            await self.wait_until_closed(timeout_s=_LEAVE_S)
        else:
            await self._connection().close()

    def vanish(self) -> None:
        """Drops the connection without a word, as a lost network does."""
        self._connection().transport.abort()

    async def send_raw(self, message: bytes | str) -> None:
        """Sends a frame as it is, outside of the paced stream. Raises ``CallError`` once the call is over."""
        try:
            await self._connection().send(message)
        except ConnectionClosed:
            raise CallError(f"the call is over: {self.closed}") from None

    # -- hearing

    async def wait_for(
        self,
        kind: str,
        predicate: Callable[[Mapping[str, Any]], bool] = lambda _: True,
        *,
        since: int = 0,
        timeout_s: float = 10.0,
    ) -> CallFrame:
        """The first text frame of that type, from position ``since`` of ``events``, for which the predicate holds.

        Raises ``CallError`` on timeout or where the call ends without it.
        """
        deadline_s = self.now() + timeout_s
        at = since
        while True:
            while at < len(self.events):
                frame = self.events[at]
                at += 1
                if frame.type == kind and predicate(frame.data):
                    return frame
            self._raise_if_closed(f"a {kind!r} frame came")
            if not await self._next_change(deadline_s):
                raise CallError(f"no {kind!r} frame within {timeout_s:g} s; the last ones: {self._tail()}")

    async def wait_for_agent_to_finish(self, *, timeout_s: float = 20.0, since_s: float | None = None) -> None:
        """Returns once the agent has said something after ``since_s`` (default: the caller's last words) and is silent.

        With ``events=1`` the server's own state counts as well; without, silence alone. Returns also where the call has
        ended. Raises ``CallError`` on timeout.
        """
        if since_s is None:
            since_s = self.utterances[-1].last_voiced_s if self.utterances else self.started_s
        quiet_s = _QUIET_S if self.options.events else _QUIET_PLAIN_S
        deadline_s = self.now() + timeout_s
        while self.closed is None:
            wake_s = deadline_s
            heard_until_s = self.playback.sound_ends_at_s(after_s=since_s)
            idle_since_s = self._agent_idle_since_s()
            if heard_until_s is not None and idle_since_s is not None:
                wake_s = max(heard_until_s, idle_since_s) + quiet_s
                if self.now() >= wake_s:
                    return
            if not await self._next_change(min(wake_s, deadline_s)) and self.now() >= deadline_s:
                raise CallError(f"the agent had not finished after {timeout_s:g} s; last frames: {self._tail()}")

    async def wait_for_answer(self, utterance: Utterance, *, timeout_s: float = 10.0) -> Heard:
        """The first non-silent audio that arrived after the utterance's last voiced sample. Raises ``CallError``."""
        deadline_s = self.now() + timeout_s
        while True:
            heard = self.playback.first_sound_after(utterance.last_voiced_s)
            if heard is not None:
                return heard
            self._raise_if_closed("the agent answered")
            if not await self._next_change(deadline_s):
                raise CallError(f"no answer within {timeout_s:g} s; last frames: {self._tail()}")

    async def wait_for_sound(self, *, seconds: float, since_s: float, timeout_s: float = 15.0) -> None:
        """Returns when the agent has been audible for ``seconds`` after ``since_s``. Raises ``CallError``."""
        deadline_s = self.now() + timeout_s
        while True:
            heard = self.playback.first_sound_after(since_s)
            wake_s = deadline_s if heard is None else heard.played_s + seconds
            if self.now() >= wake_s and heard is not None:
                return
            self._raise_if_closed("the agent was heard")
            if not await self._next_change(min(wake_s, deadline_s)) and self.now() >= deadline_s:
                raise CallError(f"the agent was not heard within {timeout_s:g} s; last frames: {self._tail()}")

    async def wait_until_closed(self, *, timeout_s: float = 10.0) -> CallClosed:
        """How the call ended. Raises ``CallError`` if it goes on."""
        deadline_s = self.now() + timeout_s
        while self.closed is None:
            if not await self._next_change(deadline_s) and self.now() >= deadline_s:
                raise CallError(f"the call goes on after {timeout_s:g} s; last frames: {self._tail()}")
        return self.closed

    async def stay(self, seconds: float) -> None:
        """Stays on the line in silence, or until the call ends."""
        deadline_s = self.now() + seconds
        while self.closed is None and self.now() < deadline_s:
            await self._next_change(deadline_s)

    # -- what was said and heard

    def frames(self, kind: str, since: int = 0) -> list[Mapping[str, Any]]:
        """The bodies of all frames of one type, from position ``since``."""
        return [frame.data for frame in self.events[since:] if frame.type == kind]

    def sent_track(self) -> bytes:
        """Everything sent so far, from the call's start, at ``in_rate_hz``."""
        return bytes(self._sent)

    def heard_track(self, from_s: float | None = None, until_s: float | None = None) -> bytes:
        """What was played to the caller, at ``out_rate_hz``; by default aligned with ``sent_track``."""
        end_s = self.closed.at_s if self.closed else self.now()
        return self.playback.track(
            self.started_s if from_s is None else from_s,
            min(end_s, self.playback.ends_at_s) if until_s is None else until_s,
        )

    # -- inside

    async def _send_frames(self, socket: ClientConnection) -> None:
        frame = 0
        while True:
            frame += 1
            due_s = self.started_s + frame * FRAME_S
            await asyncio.sleep(max(0.0, due_s - self.now()))
            pcm = bytes(self._to_say[: self._frame_bytes]) or bytes(self._frame_bytes)
            if self._line is not None:
                pcm = self._line.frame(pcm, len(self._sent) // 2, self.options.in_rate_hz, self._played_before(due_s))
            try:
                await socket.send(pcm)
            except ConnectionClosed:
                return
            del self._to_say[: self._frame_bytes]
            self.worst_lateness_s = max(self.worst_lateness_s, self.now() - due_s)
            self._sent += pcm
            while self._ends and self._ends[0][0] <= len(self._sent):
                self._ends.pop(0)[1].sent.set()
                self._changed.set()

    def _played_before(self, end_s: float) -> Callable[[float, float], bytes]:
        """What was played between two moments, each given as seconds before ``end_s``."""
        return lambda from_s, until_s: self.playback.track(end_s - from_s, end_s - until_s)

    async def _receive(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                at_s = self.now()
                if isinstance(message, bytes):
                    self.playback.receive(message, at_s)
                else:
                    data = orjson.loads(message)
                    self.events.append(CallFrame(at_s, str(data.get("type", "")), data))
                    if data.get("type") == "clear":
                        self.playback.clear(at_s)
                    self._on_frame(self.events[-1])
                self._changed.set()
        except ConnectionClosed:
            pass
        finally:
            self.closed = CallClosed(self.now(), socket.close_code or 1006, socket.close_reason or "")
            self._changed.set()

    async def _next_change(self, deadline_s: float | None) -> bool:
        """Waits for anything to happen; false where ``deadline_s`` came first."""
        self._changed.clear()
        try:
            async with asyncio.timeout_at(deadline_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _agent_idle_since_s(self) -> float | None:
        """Since when the server says that the agent is idle; the call's start where it says nothing at all."""
        if not self.options.events:
            return self.started_s
        since_s: float | None = None
        for frame in reversed(self.events):
            if frame.type == "state":
                if frame.data.get("agent") != "idle":
                    break
                since_s = frame.at_s
        return since_s

    async def _send_text(self, body: Mapping[str, Any]) -> None:
        await self.send_raw(orjson.dumps(body).decode())

    def _connection(self) -> ClientConnection:
        if self._socket is None:
            raise CallError("the call has not been placed")
        return self._socket

    def _raise_if_closed(self, before: str) -> None:
        if self.closed is not None:
            raise CallError(f"the call ended ({self.closed.code} {self.closed.reason!r}) before {before}")

    def _tail(self) -> str:
        return "; ".join(f"{e.type} {dict(e.data)}" for e in self.events[-4:]) or "none"
