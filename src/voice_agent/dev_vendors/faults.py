"""What can go wrong with a hosted vendor, and the board on which it is switched, per stage, at any moment.

Some faults are answers that a server gives (``APPLICATION_FAULTS``); the others happen on the way (``LINE_FAULTS``) and are
done by the line in front of it, which knows bytes only. Whoever causes faults asks one board.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from voice_agent.errors import ConfigError


class Stage(StrEnum):
    """What a caller's turn passes; faults and delays are set for each by itself."""

    ASR = "asr"
    LLM = "llm"
    TTS = "tts"


class Fault(StrEnum):
    """One way to fail. Those marked * also strike a stream that is already under way when they are switched on."""

    HANG_CONNECT = "hang_connect"  # the connection is accepted, and nothing ever comes
    HANG_MIDSTREAM = "hang_midstream"  # * an answer begins and stops, the connection stays open
    SLOW_DRIP = "slow_drip"  # * an answer comes in a few bytes at a time
    HALF_FRAME = "half_frame"  # * the connection is closed in the middle of a message
    RESET = "reset"  # * the connection is reset (RST) in the middle of an answer
    REFUSED = "refused"  # nobody listens at the address (a stale DNS answer); open connections are reset
    TLS = "tls"  # the handshake fails (alert 40); a plain request is answered with the same bytes
    UNAUTHORIZED = "unauthorized"  # 401
    RATE_LIMITED = "rate_limited"  # 429 with retry-after
    QUOTA = "quota"  # the account has no money left: 402, or 429 insufficient_quota
    SERVER_ERROR = "server_error"  # 503
    GARBAGE_JSON = "garbage_json"  # a message that is no JSON
    EMPTY = "empty"  # a proper answer with nothing in it
    RECYCLED = "recycled"  # * the vendor ends the session, politely, in mid-call


LINE_FAULTS = frozenset(
    {
        Fault.HANG_CONNECT,
        Fault.HANG_MIDSTREAM,
        Fault.SLOW_DRIP,
        Fault.HALF_FRAME,
        Fault.RESET,
        Fault.REFUSED,
        Fault.TLS,
    }
)
APPLICATION_FAULTS = frozenset(Fault) - LINE_FAULTS

# How much of an answer passes before a line fault strikes it, where a test does not say: some words, some syllables.
PASSED_BYTES = {Stage.ASR: 600, Stage.LLM: 1000, Stage.TTS: 12_000}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault that is switched on. ``after_bytes``: how much of each answer passes before a line fault strikes."""

    fault: Fault
    after_bytes: int


class FaultBoard:
    """The faults that are on now: at most one a stage. Belongs to one event loop."""

    def __init__(self) -> None:
        self._troubles: dict[Stage, Trouble] = {}
        self._listeners: list[Callable[[Stage], None]] = []

    def set(self, stage: Stage, fault: Fault | None, *, after_bytes: int | None = None) -> None:
        """Switches a stage's fault; ``None`` heals it. Streams under way notice at once."""
        if fault is None:
            self._troubles.pop(stage, None)
        else:
            self._troubles[stage] = Trouble(fault, PASSED_BYTES[stage] if after_bytes is None else after_bytes)
        for listener in tuple(self._listeners):
            listener(stage)

    def clear(self) -> None:
        """Heals everything."""
        for stage in Stage:
            self.set(stage, None)

    def current(self, stage: Stage) -> Fault | None:
        trouble = self._troubles.get(stage)
        return trouble.fault if trouble is not None else None

    def at_server(self, stage: Stage) -> Fault | None:
        """The fault a server has to act out, if it is one of those."""
        fault = self.current(stage)
        return fault if fault in APPLICATION_FAULTS else None

    def on_line(self, stage: Stage) -> Trouble | None:
        """The fault a line has to act out, if it is one of those."""
        trouble = self._troubles.get(stage)
        return trouble if trouble is not None and trouble.fault in LINE_FAULTS else None

    def listen(self, listener: Callable[[Stage], None]) -> Callable[[], None]:
        """``listener(stage)`` is called after each change; the answer takes it off again."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


def parse_fault(text: str) -> tuple[Stage, Fault | None]:
    """Reads ``STAGE=FAULT`` ("llm=hang_midstream"; "none" heals). Raises ``ConfigError``."""
    stage, _, fault = text.partition("=")
    try:
        return Stage(stage.strip()), None if fault.strip() == "none" else Fault(fault.strip())
    except ValueError:
        raise ConfigError(
            f"{text!r} is no fault: write STAGE=FAULT with a stage of {', '.join(Stage)} and a fault of "
            f"{', '.join(Fault)}, or none."
        ) from None
