"""What one scripted call leaves behind: when the caller made a sound, when the agent was heard, what the server said.

All times are seconds on the caller's clock since the call was placed. Pure data: everything that judges a call works on
these records, so that a hand-made timeline can be judged like a played one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voice_agent.errors import BugError

Span = tuple[float, float]

_LEAD_S = 0.15  # what a client still plays when the server says that a reply is over


class Kind(StrEnum):
    """What the caller's side did. TURN and INTERRUPTION want the floor; the others must be let pass."""

    TURN = "turn"
    INTERRUPTION = "interruption"
    BACKCHANNEL = "backchannel"
    NOISE = "noise"
    SIDE_TALK = "side_talk"
    ECHO = "echo"

    @property
    def wants_the_floor(self) -> bool:
        return self in (Kind.TURN, Kind.INTERRUPTION)


class Mark(StrEnum):
    """What the server told about its own reply. FINISHED: heard to its end; CUT: it was not."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    CLEAR = "clear"
    FINISHED = "finished"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class CallerAct:
    """One thing the caller's side did. ``start_s`` and ``end_s`` are its first and last voiced sample; ``pauses`` are the
    silences between them; ``meant_as`` is the script's intent, which what really happened may overrule."""

    meant_as: Kind
    label: str
    variant: str
    start_s: float
    end_s: float
    pauses: tuple[Span, ...] = ()
    expects_answer: bool = True

    def __post_init__(self) -> None:
        if self.end_s < self.start_s:
            raise BugError(f"{self.label!r} ends before it starts")


@dataclass(frozen=True, slots=True)
class CallTimeline:
    """One call. ``played`` is when the agent's audio was played, silent or not; ``sound`` when it was audible; both in
    order. ``log_offset_s`` added to a time of the event log gives the caller's (None: unknown)."""

    name: str
    family: str
    call_id: str
    acts: tuple[CallerAct, ...]
    played: tuple[Span, ...]
    sound: tuple[Span, ...]
    marks: tuple[tuple[float, Mark], ...]
    ends_s: float
    log_offset_s: float | None = None
    worst_lateness_s: float = 0.0
    problem: str = ""

    def marked(self, *marks: Mark) -> list[float]:
        return [at_s for at_s, mark in self.marks if mark in marks]

    def reply_ends(self) -> list[float]:
        """When a reply was over for good: what is audible behind such a moment belongs to another."""
        return self.marked(Mark.STOP, Mark.CLEAR, Mark.FINISHED)


def joined(spans: tuple[Span, ...], gap_s: float, cuts: list[float] | None = None) -> list[Span]:
    """The spans with gaps up to ``gap_s`` closed, but never across a moment in ``cuts``."""
    out: list[Span] = []
    for start_s, end_s in spans:
        parted = out and any(out[-1][1] - _LEAD_S <= cut <= start_s for cut in cuts or ())
        if out and start_s - out[-1][1] <= gap_s and not parted:
            out[-1] = (out[-1][0], max(out[-1][1], end_s))
        else:
            out.append((start_s, end_s))
    return out
