"""A scripted call: who calls over what line, and what their side does, step by step. Pure data."""

from __future__ import annotations

from dataclasses import dataclass, field

from voice_agent.evaluation.caller_line import Echo
from voice_agent.evaluation.turn_taking.timeline import Kind

DEMO_CALLER = "+15550100"  # Dana Reyes of the demo shop, who has the orders 83102 and 83117
DEMO_PIN = "4271"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing the caller's side does. ``pcm`` is mono at the line's rate; an echo step has none and just listens.

    ``heard_s`` None: it begins once the agent is silent. A number: once the agent has been heard for that long since the
    last act, or, where the last act was to be let pass, that long after it; it is left out where the agent is silent by
    then. ``expects_answer`` is false for "stop" and its like.
    """

    kind: Kind
    label: str
    pcm: bytes
    variant: str = ""
    heard_s: float | None = None
    expects_answer: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """``noise_dbfs`` None: silence behind the voice. ``rate_hz`` is that of both directions."""

    rate_hz: int = 16_000
    noise_seed: int = 0
    noise_dbfs: float | None = None
    echo: Echo | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """One call. ``keyed_pin``: the caller proves who they are on the keypad before the first step, having asked
    ``opening`` (a recording) for it."""

    family: str
    name: str
    steps: tuple[Step, ...]
    line: Line = field(default_factory=Line)
    caller_id: str = DEMO_CALLER
    opening: bytes = b""
