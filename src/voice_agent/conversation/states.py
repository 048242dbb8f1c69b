"""Three small coupled state machines, as tables.

Rules:
1. ``CallerState`` follows the voice detector and endpointing; ``AgentState`` follows the reply; ``CallState`` the call.
2. A table maps (state, trigger) to the next state. A pair that is not in the table is a bug, never a silent no-op: the
   code that fires a trigger knows that it applies.
3. Joint rules ("speech while the agent speaks may be an interruption") are not in the tables; they stand in
   ``machine/contest.py`` and ``machine/caller_side.py``.

The diagrams in ARCHITECTURE.md are drawn from these tables by ``mermaid``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from voice_agent.errors import BugError


class CallerState(StrEnum):
    SILENT = "silent"  # nothing of a turn has been heard
    SPEAKING = "speaking"
    PAUSED = "paused"  # silent in a turn that is not committed


class CallerTrigger(StrEnum):
    ONSET = "onset"
    PAUSE = "pause"
    SETTLE = "settle"  # the turn was committed or dropped


class AgentState(StrEnum):
    IDLE = "idle"
    THINKING = "thinking"  # a turn is being decided, or a reply has no audio yet
    SPEAKING = "speaking"  # a reply is being played (perhaps paused)


class AgentTrigger(StrEnum):
    THINK = "think"
    SPEAK = "speak"
    STOP = "stop"


class CallState(StrEnum):
    CONNECTING = "connecting"
    ACTIVE = "active"
    TRANSFERRING = "transferring"
    ENDED = "ended"


class CallTrigger(StrEnum):
    ADMIT = "admit"
    TRANSFER = "transfer"
    END = "end"


CALLER_TABLE: Mapping[tuple[CallerState, CallerTrigger], CallerState] = {
    (CallerState.SILENT, CallerTrigger.ONSET): CallerState.SPEAKING,
    (CallerState.SPEAKING, CallerTrigger.ONSET): CallerState.SPEAKING,
    (CallerState.SPEAKING, CallerTrigger.PAUSE): CallerState.PAUSED,
    (CallerState.PAUSED, CallerTrigger.ONSET): CallerState.SPEAKING,
    (CallerState.SILENT, CallerTrigger.SETTLE): CallerState.SILENT,
    (CallerState.SPEAKING, CallerTrigger.SETTLE): CallerState.SILENT,
    (CallerState.PAUSED, CallerTrigger.SETTLE): CallerState.SILENT,
}

AGENT_TABLE: Mapping[tuple[AgentState, AgentTrigger], AgentState] = {
    (AgentState.IDLE, AgentTrigger.THINK): AgentState.THINKING,
    (AgentState.IDLE, AgentTrigger.STOP): AgentState.IDLE,
    (AgentState.THINKING, AgentTrigger.THINK): AgentState.THINKING,
    (AgentState.THINKING, AgentTrigger.SPEAK): AgentState.SPEAKING,
    (AgentState.THINKING, AgentTrigger.STOP): AgentState.IDLE,
    (AgentState.SPEAKING, AgentTrigger.SPEAK): AgentState.SPEAKING,
    (AgentState.SPEAKING, AgentTrigger.STOP): AgentState.IDLE,
}

CALL_TABLE: Mapping[tuple[CallState, CallTrigger], CallState] = {
    (CallState.CONNECTING, CallTrigger.ADMIT): CallState.ACTIVE,
    (CallState.CONNECTING, CallTrigger.END): CallState.ENDED,
    (CallState.ACTIVE, CallTrigger.TRANSFER): CallState.TRANSFERRING,
    (CallState.ACTIVE, CallTrigger.END): CallState.ENDED,
    (CallState.TRANSFERRING, CallTrigger.END): CallState.ENDED,
}


S = TypeVar("S", bound=StrEnum)
T = TypeVar("T", bound=StrEnum)


def advance(table: Mapping[tuple[S, T], S], state: S, trigger: T) -> S:
    """The next state. Raises ``BugError`` for a pair outside the table."""
    try:
        return table[(state, trigger)]
    except KeyError:
        raise BugError(f"no transition from {state!r} on {trigger!r}") from None


def mermaid(table: Mapping[tuple[S, T], S]) -> str:
    """The table as a Mermaid state diagram, self-loops left out."""
    arrows = [f"    {a} --> {b}: {trigger}" for (a, trigger), b in table.items() if a != b]
    first = next(iter(table))[0]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {first}", *arrows])
