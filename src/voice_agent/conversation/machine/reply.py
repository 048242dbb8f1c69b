"""The agent's current reply: what was written, spoken and heard of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from voice_agent.conversation.commands import Purpose
from voice_agent.conversation.heard_ledger import Heard, HeardLedger, Segment
from voice_agent.models import CallOutcome, HeardBasis, ReplyId, TurnId

# A client that reports its playback does so about five times a second; its word counts this long.
_ACKNOWLEDGED_FOR_S = 1.0
# What echoes now was played up to this long ago; what is sent ahead of the ear may be heard by an eager client.
_ECHO_BEFORE_S = 3.0
_ECHO_AHEAD_S = 0.3


@dataclass(slots=True)
class AgentReply:
    """``turn_id`` is the turn it answers (None: the agent speaks of its own accord). ``then_end`` ends the call once
    the reply has been played, ``transfer_to`` hands it over then (to the target of that name, or "" for the usual one).
    ``began``: there is audio of its own words; ``fillers`` counts the phrases that bridged
    the wait for it. ``calling`` are the tool calls under way, ``writing`` those of them that change something outside
    of the call."""

    reply_id: ReplyId
    purpose: Purpose
    turn_id: TurnId | None = None
    interruptible: bool = True
    then_end: tuple[CallOutcome, str] | None = None
    paused: bool = False
    playing: bool = False
    tool_failed: bool = False
    transfer_to: str | None = None
    heard_s: float = 0.0
    heard_at: float = 0.0
    began: bool = False
    fillers: int = 0
    calling: set[str] = field(default_factory=set)
    writing: set[str] = field(default_factory=set)
    ledger: HeardLedger = field(default_factory=HeardLedger)
    _acknowledged_at: float | None = None

    @property
    def segments(self) -> list[Segment]:
        return self.ledger.segments

    def write(self, index: int, text: str, *, interruptible: bool = True) -> None:
        self.ledger.write(index, text, interruptible=interruptible)

    def measured(self, index: int, duration_s: float) -> None:
        self.ledger.measured(index, duration_s)

    def fill(self, before_index: int, text: str, duration_s: float) -> None:
        self.ledger.fill(before_index, text, duration_s)
        self.fillers += 1

    @property
    def only_filled(self) -> bool:
        """Nothing was heard but fillers: the caller still waits for the answer."""
        return self.fillers > 0 and not self.began

    def advance(self, heard_s: float, now: float, *, acknowledged: bool = False) -> None:
        self.heard_s = max(self.heard_s, heard_s)
        self.heard_at = now
        if acknowledged:
            self._acknowledged_at = now

    def heard_by(self, now: float) -> float:
        """Seconds heard by ``now``: the last report, and the time since then unless playout is paused."""
        if not self.playing:
            return 0.0
        return self.heard_s if self.paused else self.heard_s + max(0.0, now - self.heard_at)

    def full_text(self) -> str:
        return self.ledger.full_text()

    def heard_text(self, heard_s: float) -> str:
        """The words that were whole by ``heard_s``."""
        return self.ledger.heard_text(heard_s)

    def heard(self, now: float) -> Heard:
        """What has been heard by ``now``, and how surely that is known."""
        return self.ledger.heard(self.heard_by(now), self._basis(now))

    def understood_text(self, now: float) -> str:
        return self.ledger.understood_text(self.heard_by(now))

    def echoing_text(self, now: float) -> str:
        """The words whose echo may be heard at ``now``."""
        return self.ledger.around(self.heard_by(now), before_s=_ECHO_BEFORE_S, after_s=_ECHO_AHEAD_S)

    def may_be_interrupted(self, now: float) -> bool:
        return self.interruptible and (not self.playing or self.ledger.interruptible(self.heard_by(now)))

    def _basis(self, now: float) -> HeardBasis:
        recent = self._acknowledged_at is not None and now - self._acknowledged_at <= _ACKNOWLEDGED_FOR_S
        return HeardBasis.ACKNOWLEDGED if recent else HeardBasis.PACED
