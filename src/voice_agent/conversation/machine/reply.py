"""The agent's current reply: what was written, spoken and heard of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from voice_agent.conversation.commands import Purpose
from voice_agent.models import CallOutcome, ReplyId, TurnId

# Used only until a segment's synthesis has ended: ordinary speech runs at about 15 characters a second.
_ASSUMED_CHARS_PER_S = 15.0
# A segment counts as heard when less than this is missing: its end is trimmed silence and the paced clock is coarse.
_TAIL_S = 0.12


@dataclass(slots=True)
class _Segment:
    text: str
    duration_s: float | None = None


@dataclass(slots=True)
class AgentReply:
    """``turn_id`` is the turn it answers (None: the agent speaks of its own accord). ``then_end`` ends the call once the
    reply has been played."""

    reply_id: ReplyId
    purpose: Purpose
    turn_id: TurnId | None = None
    interruptible: bool = True
    then_end: tuple[CallOutcome, str] | None = None
    paused: bool = False
    playing: bool = False
    tool_failed: bool = False
    then_transfer: bool = False
    heard_s: float = 0.0
    heard_at: float = 0.0
    segments: list[_Segment] = field(default_factory=list)

    def write(self, index: int, text: str) -> None:
        if index == len(self.segments):
            self.segments.append(_Segment(text))

    def measured(self, index: int, duration_s: float) -> None:
        if index < len(self.segments):
            self.segments[index].duration_s = duration_s

    def advance(self, heard_s: float, now: float) -> None:
        self.heard_s = max(self.heard_s, heard_s)
        self.heard_at = now

    def heard_by(self, now: float) -> float:
        """Seconds heard by ``now``: the last report, and the time since then unless playout is paused."""
        if not self.playing:
            return 0.0
        return self.heard_s if self.paused else self.heard_s + max(0.0, now - self.heard_at)

    def full_text(self) -> str:
        return " ".join(segment.text for segment in self.segments)

    def heard_text(self, heard_s: float) -> str:
        """The words that fit into ``heard_s``: whole segments, then a share of the next in proportion to its length."""
        parts: list[str] = []
        left_s = heard_s
        for segment in self.segments:
            duration_s = segment.duration_s
            if duration_s is None:
                duration_s = max(0.3, len(segment.text) / _ASSUMED_CHARS_PER_S)
            if left_s >= duration_s - _TAIL_S:
                parts.append(segment.text)
                left_s = max(0.0, left_s - duration_s)
                continue
            characters = int(len(segment.text) * left_s / duration_s)
            cut = segment.text[:characters]
            whole_words = cut.rsplit(" ", 1)[0] if " " in cut else ""
            if whole_words:
                parts.append(whole_words)
            break
        return " ".join(parts)
