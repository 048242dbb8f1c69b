"""Hand-made calls: what the caller did, when the agent was audible, what the server said."""

from __future__ import annotations

from voice_agent.evaluation.turn_taking.timeline import CallerAct, CallTimeline, Kind, Mark, Span


def act(
    kind: Kind, start_s: float, end_s: float, *, pauses: tuple[Span, ...] = (), answer: bool = True, label: str = "said"
) -> CallerAct:
    return CallerAct(kind, label, "variant", start_s, end_s, pauses, answer and kind.wants_the_floor)


def call(
    *acts: CallerAct,
    agent: tuple[Span, ...] = (),
    marks: tuple[tuple[float, Mark], ...] = (),
    ends_s: float = 30.0,
    family: str = "family",
) -> CallTimeline:
    """``agent``: when it was audible, which is also when its audio was played."""
    return CallTimeline(f"{family} 1", family, "id", acts, agent, agent, marks, ends_s, log_offset_s=0.0)
