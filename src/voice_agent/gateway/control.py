"""The text frames a client may send, as values. The contract is docs/protocol.md."""

from __future__ import annotations

import math
from dataclasses import dataclass

import orjson

from voice_agent.errors import CallerError
from voice_agent.models import ReplyId

MAX_TEXT_BYTES = 4_096
MAX_PLAYED_MS = 24 * 3_600_000.0  # a day: whatever claims more is not a playback position
# A console acknowledges playback five times a second, and people press about three keys; this is far above both.
FRAMES_PER_S = 50.0
BURST_FRAMES = 200
KEYS = frozenset("0123456789*#")


@dataclass(frozen=True, slots=True)
class KeyPressed:
    key: str


@dataclass(frozen=True, slots=True)
class HangUpAsked:
    pass


@dataclass(frozen=True, slots=True)
class PlaybackReported:
    reply_id: ReplyId
    played_s: float


@dataclass(frozen=True, slots=True)
class OutputResumed:
    pass


ControlFrame = KeyPressed | HangUpAsked | PlaybackReported | OutputResumed


class ControlBudget:
    """How many control frames are taken: a burst of ``BURST_FRAMES``, then ``FRAMES_PER_S``. Pure."""

    def __init__(self, now: float) -> None:
        self._left = float(BURST_FRAMES)
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more frame may be taken now."""
        self._left = min(BURST_FRAMES, self._left + FRAMES_PER_S * (now - self._at))
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class ControlError(CallerError):
    """A control frame was not understood: ``code`` goes into the ``error`` frame, and the call goes on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_control(text: str) -> ControlFrame:
    """Raises ``ControlError``; its message repeats nothing of the frame (a key may be part of a PIN)."""
    try:
        frame = orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        raise ControlError("not_json", "a control frame is one JSON object") from None
    if not isinstance(frame, dict):
        raise ControlError("not_json", "a control frame is one JSON object")
    match frame.get("type"):
        case "dtmf":
            return _key(frame.get("key"))
        case "hangup":
            return HangUpAsked()
        case "playback":
            return _playback(frame.get("reply_id"), frame.get("played_ms"))
        case "resume":
            return OutputResumed()
        case _:
            raise ControlError("unknown_type", "type: allowed are dtmf, hangup, playback, resume")


def _key(key: object) -> KeyPressed:
    if not isinstance(key, str) or key not in KEYS:
        raise ControlError("bad_key", "dtmf: key must be one of 0-9, * and #")
    return KeyPressed(key)


def _playback(reply_id: object, played_ms: object) -> PlaybackReported:
    if not isinstance(reply_id, int) or isinstance(reply_id, bool) or reply_id < 0:
        raise ControlError("bad_playback", "playback: reply_id must be a whole number")
    if not isinstance(played_ms, int | float) or isinstance(played_ms, bool):
        raise ControlError("bad_playback", "playback: played_ms must be a number")
    if not math.isfinite(played_ms) or not 0 <= played_ms <= MAX_PLAYED_MS:
        raise ControlError("bad_playback", "playback: played_ms must be the milliseconds played, not negative")
    return PlaybackReported(ReplyId(reply_id), played_ms / 1000)
