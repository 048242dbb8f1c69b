"""Figures out of outcomes: each with its interval, for a family or for all calls. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voice_agent.evaluation.turn_taking import bootstrap
from voice_agent.evaluation.turn_taking.bootstrap import NO_FIGURE, Figure
from voice_agent.evaluation.turn_taking.measures import Outcome
from voice_agent.evaluation.turn_taking.ticks import TickEvents
from voice_agent.evaluation.turn_taking.timeline import Kind

SELECTED = (Kind.BACKCHANNEL, Kind.NOISE, Kind.SIDE_TALK)


@dataclass(frozen=True, slots=True)
class Metric:
    """``better`` is +1 where more is better, -1 where less is; ``unit`` is "ms" or "share"."""

    key: str
    title: str
    unit: str
    better: int


METRICS = (
    Metric("response_latency_p50", "response latency, median", "ms", -1),
    Metric("response_latency_p95", "response latency, P95", "ms", -1),
    Metric("response_rate", "response rate", "share", 1),
    Metric("cut_off_rate", "turns cut off", "share", -1),
    Metric("agent_interrupts", "agent interrupts caller, a turn", "share", -1),
    Metric("yield_rate", "yield rate", "share", 1),
    Metric("duck_p50", "onset to first reaction, median", "ms", -1),
    Metric("quiet_p50", "onset to first silence, median", "ms", -1),
    Metric("yield_latency_p50", "onset to silence for good, median", "ms", -1),
    Metric("yield_latency_p95", "onset to silence for good, P95", "ms", -1),
    Metric("selectivity_backchannel", "selectivity: backchannels", "share", 1),
    Metric("selectivity_noise", "selectivity: noises", "share", 1),
    Metric("selectivity_side_talk", "selectivity: side talk", "share", 1),
    Metric("selectivity_mean", "selectivity: mean of the three", "share", 1),
    Metric("selectivity_echo", "own echo let pass", "share", 1),
    Metric("held_p50", "silence by a sound let pass, median", "ms", -1),
    Metric("held_p95", "silence by a sound let pass, P95", "ms", -1),
)
METRIC = {metric.key: metric for metric in METRICS}
CURVE_METRICS = (
    Metric("false_cut_offs_at_300_ms", "false cut-offs at 300 ms", "share", -1),
    Metric("latency_at_5_percent", "end-of-turn delay at 5 % cut-offs", "ms", -1),
)
PANEL = (
    Metric("response_latency", "L_R  response latency, mean", "ms", -1),
    Metric("yield_latency", "L_Y  yield latency, mean", "ms", -1),
    Metric("response_rate", "R_R  response rate", "share", 1),
    Metric("yield_rate", "R_Y  yield rate", "share", 1),
    Metric("agent_interrupts", "I_A  agent interrupts caller, a turn", "share", -1),
    Metric("selectivity_backchannel", "S_BC selectivity to backchannels", "share", 1),
    Metric("selectivity_noise", "S_VT selectivity to noises", "share", 1),
    Metric("selectivity_side_talk", "S_ND selectivity to side talk", "share", 1),
)


def figures(outcomes: Iterable[Outcome], seed: int) -> dict[str, Figure]:
    """Every metric over these outcomes; those without a trial are ``NO_FIGURE``. Seconds become milliseconds."""
    valid = [outcome for outcome in outcomes if not outcome.void]
    turns = [o for o in valid if o.kind is Kind.TURN]
    taken = [o for o in valid if o.kind is Kind.INTERRUPTION]
    passed = {kind: [bool(o.passed) for o in valid if o.kind is kind and o.passed is not None] for kind in Kind}
    latency = _ms(o.latency_s for o in turns)
    silence = _ms(o.silence_s for o in taken)
    held = _ms(o.held_s for o in valid if o.kind in SELECTED and o.passed and o.over_agent)
    return {
        "response_latency_p50": bootstrap.quantile(latency, 0.5, seed),
        "response_latency_p95": bootstrap.quantile(latency, 0.95, seed),
        "response_rate": bootstrap.rate([o.answered for o in valid if o.answered is not None], seed),
        "cut_off_rate": bootstrap.rate([bool(o.cut_off) for o in turns], seed),
        "agent_interrupts": _a_turn([o.interruptions_by_agent for o in turns + taken], seed),
        "yield_rate": bootstrap.rate([bool(o.yielded) for o in taken], seed),
        "duck_p50": bootstrap.quantile(_ms(o.duck_s for o in taken), 0.5, seed),
        "quiet_p50": bootstrap.quantile(_ms(o.quiet_s for o in taken), 0.5, seed),
        "yield_latency_p50": bootstrap.quantile(silence, 0.5, seed),
        "yield_latency_p95": bootstrap.quantile(silence, 0.95, seed),
        "selectivity_backchannel": bootstrap.rate(passed[Kind.BACKCHANNEL], seed),
        "selectivity_noise": bootstrap.rate(passed[Kind.NOISE], seed),
        "selectivity_side_talk": bootstrap.rate(passed[Kind.SIDE_TALK], seed),
        "selectivity_mean": mean_of_rates([passed[kind] for kind in SELECTED], seed),
        "selectivity_echo": bootstrap.rate(passed[Kind.ECHO], seed),
        "held_p50": bootstrap.quantile(held, 0.5, seed),
        "held_p95": bootstrap.quantile(held, 0.95, seed),
    }


def panel(outcomes: Iterable[Outcome], seed: int) -> dict[str, Figure]:
    """The eight measures of the panel, exactly: means where ``figures`` has medians."""
    valid = [outcome for outcome in outcomes if not outcome.void]
    all_figures = figures(valid, seed)
    latency = _ms(o.latency_s for o in valid if o.kind.wants_the_floor)
    silence = _ms(o.silence_s for o in valid if o.kind is Kind.INTERRUPTION)
    kept = {metric.key: all_figures[metric.key] for metric in PANEL if metric.key in all_figures}
    own = {
        "response_latency": bootstrap.mean(latency, seed),
        "yield_latency": bootstrap.mean(silence, seed),
    }
    return {metric.key: (own | kept)[metric.key] for metric in PANEL}


def tick_panel(events: TickEvents, seed: int) -> dict[str, Figure]:
    """The eight measures on ticks."""

    def share(kind: Kind) -> Figure:
        return bootstrap.rate(events.passed.get(kind, []), seed)

    return {
        "response_latency": bootstrap.mean(_ms(events.response_latency_s), seed),
        "yield_latency": bootstrap.mean(_ms(events.yield_latency_s), seed),
        "response_rate": bootstrap.rate(events.responded, seed),
        "yield_rate": bootstrap.rate(events.yielded, seed),
        "agent_interrupts": _a_turn(events.agent_interrupts, seed),
        "selectivity_backchannel": share(Kind.BACKCHANNEL),
        "selectivity_noise": share(Kind.NOISE),
        "selectivity_side_talk": share(Kind.SIDE_TALK),
    }


def mean_of_rates(groups: Sequence[Sequence[bool]], seed: int) -> Figure:
    """The unweighted mean of several rates; no figure where a group has no trial."""
    if not all(groups):
        return NO_FIGURE
    parts = [bootstrap.rate(group, seed + at) for at, group in enumerate(groups)]
    value = float(np.mean([part.value for part in parts]))
    # The half widths of independent rates add up as squares.
    down = float(np.sqrt(sum((part.value - part.low) ** 2 for part in parts))) / len(parts)
    up = float(np.sqrt(sum((part.high - part.value) ** 2 for part in parts))) / len(parts)
    return Figure(value, max(0.0, value - down), min(1.0, value + up), sum(part.n for part in parts))


def by_family(
    outcomes: Sequence[Outcome], make: Callable[[Sequence[Outcome]], Mapping[str, Figure]]
) -> dict[str, Mapping[str, Figure]]:
    """``make`` of each family's outcomes, in the order in which families appear."""
    families = dict.fromkeys(outcome.family for outcome in outcomes)
    return {family: make([o for o in outcomes if o.family == family]) for family in families}


def _a_turn(counts: Sequence[int], seed: int) -> Figure:
    """Events a turn; none at all in any turn is as uncertain as a rate of none."""
    return (
        bootstrap.mean([float(count) for count in counts], seed)
        if any(counts)
        else bootstrap.rate([False] * len(counts), seed)
    )


def _ms(seconds: Iterable[float | None]) -> list[float]:
    return [1e3 * value for value in seconds if value is not None]
