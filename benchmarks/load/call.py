"""One call of a load test: speaks marked speech in real time, hears the answers, and notes when everything happened.

The wire is that of docs/protocol.md: binary frames of 20 ms out (16-bit mono, 16 kHz), binary frames of any size in
(24 kHz), JSON text frames of which only "clear" matters. The client's half of RFC 6455 is written out here, with a masking
key of zero (allowed by §5.3), so that a frame is built once for all calls and sending it is one call of the transport.

Times are ``time.monotonic()``: an event loop's own clock may stand still while it works through a batch of events.

A script is a row of letters, one an utterance: ``N`` plain, ``T`` needs the tool, ``B`` interrupts the answer to the one
before, ``BARGE_AFTER_S`` after its first sound. Between the other answers and the next utterance is a pause of ``GAP_S``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import socket
import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from time import monotonic
from typing import cast
from urllib.parse import urlsplit

from load.script import BARGE_IN, HEAR_RATE_HZ, MARK_BYTES, NORMAL, SPEAK_RATE_HZ, TOOL, mark

FRAME_S = 0.02
FRAME_BYTES = round(HEAR_RATE_HZ * FRAME_S) * 2
LEAD_S = 0.6
GAP_S = 0.4
BARGE_AFTER_S = 1.2
ANSWER_WITHIN_S = 8.0
BUFFER_S = 0.06  # what a client with a small jitter buffer holds before it plays
BUSY = 1013
KINDS = {"N": NORMAL, "T": TOOL, "B": BARGE_IN}

_BINARY, _TEXT, _CLOSE, _PING = 2, 1, 8, 9


def framed(payload: bytes, opcode: int = _BINARY) -> bytes:
    """A client's frame, masked with a key of zero."""
    size = len(payload)
    head = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    return bytes([0x80 | opcode]) + head + bytes(4) + payload


class Speech:
    """What callers send, framed: recordings, and the faint noise of an open line in between."""

    def __init__(self, recordings: list[bytes], seed: int = 1) -> None:
        noise = random.Random(seed)
        self.noise = [
            framed(struct.pack(f"<{FRAME_BYTES // 2}h", *(round(noise.gauss(0, 12)) for _ in range(FRAME_BYTES // 2))))
            for _ in range(50)
        ]
        self._recordings = [
            [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)] for pcm in recordings
        ]
        self._framed = [[framed(chunk) for chunk in chunks] for chunks in self._recordings]

    def utterance(self, which: int, kind: int, number: int) -> list[bytes]:
        """Frames of 20 ms, the first beginning with the begin mark, the last ending with the end mark."""
        chunks = self._recordings[which % len(self._recordings)]
        frames = list(self._framed[which % len(self._recordings)])
        frames[0] = framed(mark(True, kind, number) + chunks[0][MARK_BYTES:])
        frames[-1] = framed(chunks[-1][:-MARK_BYTES] + mark(False, kind, number))
        return frames


@dataclass
class Turn:
    """One utterance and its answer; in seconds. ``late_ms``: how long after its place on the answer's own grid
    each chunk came (0: in time). ``yield_s``: for an interruption, from its onset until the agent was silent."""

    letter: str
    onset_s: float
    said_s: float = 0.0
    answer_s: float | None = None
    heard_s: float = 0.0
    late_ms: array[float] = field(default_factory=lambda: array("f"))
    stall_s: float = 0.0
    early: bool = False
    yield_s: float | None = None
    dry_s: float = 0.0  # when a buffer of BUFFER_S runs dry


class Outcome(Enum):
    RUNNING = auto()
    DONE = auto()
    HUNG_UP = auto()
    REFUSED = auto()
    DROPPED = auto()


@dataclass
class Plan:
    """What one call does. ``hang_up_after_s`` (from the opening) may cut it short, without a close frame if ``rude``."""

    script: str
    hang_up_after_s: float | None = None
    rude: bool = False
    recording: int = 0


class Phase(Enum):
    OPENING = auto()
    LEAD = auto()
    SPEAKING = auto()
    LISTENING = auto()
    OVER = auto()


class Call(asyncio.Protocol):
    """``tick(now)`` must be called every 20 ms once ``open`` is true. ``over`` is called once, at the end."""

    def __init__(self, url: str, number: int, plan: Plan, speech: Speech, over: Callable[[Call], None]) -> None:
        self.number = number
        self.plan = plan
        self.turns: list[Turn] = []
        self.outcome = Outcome.RUNNING
        self.ending = ""
        self.dialled_s = self.opened_s = self.ended_s = 0.0
        self._url = url
        self._speech = speech
        self._over = over
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._phase = Phase.OPENING
        self._frames: list[bytes] = []
        self._at = 0
        self._ticks = number  # callers do not send the same noise at the same time
        self._turn: Turn | None = None
        self._play_end_s = 0.0
        self._last_s = 0.0
        self.chunks = 0

    @property
    def open(self) -> bool:
        return self._phase not in (Phase.OPENING, Phase.OVER)

    # Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        parts = urlsplit(self._url)
        joint = "&" if parts.query else "?"
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}{joint}caller_id=load-{self.number}"
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._end(Outcome.DROPPED, f"connection lost: {error!r}" if error else "connection lost")

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._phase is Phase.OPENING and not self._opened():
            return
        self._read_frames()

    def _opened(self) -> bool:
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return False
        status = bytes(self._received[: self._received.find(b"\r\n")])
        del self._received[: head_end + 4]
        if b" 101 " not in status:
            busy = b" 503 " in status
            self._end(Outcome.REFUSED if busy else Outcome.DROPPED, status.decode("latin-1"))
            return False
        self._phase = Phase.LEAD
        self.opened_s = monotonic()
        return True

    def _read_frames(self) -> None:
        buffer, at = self._received, 0
        now = monotonic()
        while len(buffer) - at >= 2:
            size, head = buffer[at + 1] & 0x7F, 2
            if size == 126:
                if len(buffer) - at < 4:
                    break
                size, head = (buffer[at + 2] << 8) | buffer[at + 3], 4
            elif size == 127:
                if len(buffer) - at < 10:
                    break
                size, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
            if len(buffer) - at < head + size:
                break
            opcode = buffer[at] & 0x0F
            payload = bytes(buffer[at + head : at + head + size])
            at += head + size
            self._frame(opcode, payload, now)
        del buffer[:at]

    def _frame(self, opcode: int, payload: bytes, now: float) -> None:
        if opcode in (_BINARY, 0):  # a continued message is audio too: no server sends long texts
            self._audio(payload, now)
        elif opcode == _TEXT:
            if b'"clear"' in payload and json.loads(payload).get("type") == "clear":
                self._play_end_s = min(self._play_end_s, now)
        elif opcode == _PING:
            self._send(framed(payload, 10))
        elif opcode == _CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            refused = code == BUSY and not self.turns
            self._end(Outcome.REFUSED if refused else Outcome.DROPPED, f"{code} {payload[2:].decode(errors='replace')}")

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def hang_up(self, *, rude: bool = False) -> None:
        self._end(Outcome.HUNG_UP, "the caller hung up", rude=rude)

    def _end(self, outcome: Outcome, why: str, *, rude: bool = False) -> None:
        if self._phase is Phase.OVER:
            return
        self._phase = Phase.OVER
        self.outcome, self.ending, self.ended_s = outcome, why, monotonic()
        if self._transport is not None and not self._transport.is_closing():
            if rude:
                self._transport.abort()
            else:
                self._transport.write(framed(struct.pack("!H", 1000), _CLOSE))
                self._transport.close()
        self._over(self)

    # Hearing

    def _audio(self, pcm: bytes, now: float) -> None:
        if not any(pcm[:64]) and not any(pcm):  # some servers send silence while they have nothing to say
            return
        self.chunks += 1
        duration_s = len(pcm) / 2 / SPEAK_RATE_HZ
        begins = now > self._play_end_s + GAP_S
        self._play_end_s = max(self._play_end_s, now) + duration_s
        turn = self._turn
        if turn is None:
            return
        if self._phase is Phase.SPEAKING:
            turn.early = turn.early or (begins and turn.letter != "B")
        elif turn.answer_s is None:
            turn.answer_s = now
            turn.heard_s = duration_s
            turn.dry_s = now + BUFFER_S + duration_s
            turn.late_ms.append(0.0)
        else:
            turn.late_ms.append(max(0.0, now - turn.answer_s - turn.heard_s) * 1e3)
            turn.heard_s += duration_s
            turn.stall_s += max(0.0, now - turn.dry_s)
            turn.dry_s = max(turn.dry_s, now) + duration_s
        self._last_s = now

    # Speaking

    def tick(self, now: float) -> None:
        """Sends the next 20 ms and decides what comes after them."""
        self._ticks += 1
        if self.plan.hang_up_after_s is not None and now - self.opened_s >= self.plan.hang_up_after_s:
            self.hang_up(rude=self.plan.rude)
            return
        if self._phase is Phase.SPEAKING:
            self._send(self._frames[self._at])
            self._at += 1
            if self._at == len(self._frames):
                self._said(now)
            return
        self._send(self._speech.noise[self._ticks % len(self._speech.noise)])
        if self._phase is Phase.LEAD:
            if now - self.opened_s >= LEAD_S:
                self._next(now)
        elif self._phase is Phase.LISTENING and self._may_go_on(now):
            self._next(now)

    def _may_go_on(self, now: float) -> bool:
        turn = self._turn
        assert turn is not None
        if turn.answer_s is None:
            return now - turn.said_s >= ANSWER_WITHIN_S
        if self._upcoming() == "B":
            return now - turn.answer_s >= BARGE_AFTER_S
        return now >= self._play_end_s + GAP_S

    def _upcoming(self) -> str:
        return self.plan.script[len(self.turns)] if len(self.turns) < len(self.plan.script) else ""

    def _next(self, now: float) -> None:
        letter = self._upcoming()
        if not letter:
            self._end(Outcome.DONE, "the script is over")
            return
        self._turn = Turn(letter, now)
        number = len(self.turns)
        self.turns.append(self._turn)
        self._frames = self._speech.utterance(self.plan.recording + number, KINDS[letter], self.number * 7 + number)
        self._at = 0
        self._phase = Phase.SPEAKING

    def _said(self, now: float) -> None:
        turn = self._turn
        assert turn is not None
        turn.said_s = now
        if turn.letter == "B" and self._play_end_s < now:
            turn.yield_s = max(0.0, self._play_end_s - turn.onset_s)
        self._phase = Phase.LISTENING
