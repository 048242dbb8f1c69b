"""How often turns would be cut off, and how soon they would end, had every wait been shorter or longer. Pure.

Theory of operation. The event log of a call is run through the machine again. At every pause of the caller a copy of the
machine is taken whose waits for the end of a turn (every ``..._s`` of ``EndpointingSettings``) are scaled; it gets what
really followed (the recogniser's final, the end-of-turn model's score) at the times at which it came, and fires its own
timers, until it commits the turn or the caller goes on. So one played call gives the decision of every setting, with
whatever rules this version decides by.

Definitions. *End-of-turn delay*: last voiced sample to the decision, at true ends of turns. *Cut off*: a turn with a
pause inside which the machine decides before the detector hears the caller go on. A point of the curve is the median
delay and the share of turns cut off, both at one scale. "False cut-offs at 300 ms" is that share where the median delay
is 300 ms (where no scale is that fast: the share at the least delay there is, as the recogniser's work is no wait that
could be scaled); "latency at 5 % cut-offs" is the delay from which on the share stays at or under 5 %; both interpolated.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voice_agent.conversation.commands import CommitTurn
from voice_agent.conversation.events import Event, SpeechStarted, SpeechStopped, TimerFired
from voice_agent.conversation.machine import CallMachine, MachineSettings
from voice_agent.evaluation.turn_taking.bootstrap import DRAWS, NO_FIGURE, Figure, wilson
from voice_agent.evaluation.turn_taking.timeline import CallerAct, CallTimeline, Kind

SCALES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
_END_SLACK_S = 0.15  # the detector's idea of the last voiced sample differs from ours by a window or two
_GIVE_UP_S = 12.0  # longer than any scaled wait
_SHARE_LIMIT = 0.05
_DELAY_S = 0.3
_FRAME_S = 0.02  # delays that differ by less are the same

LoggedEvent = tuple[float, Event]


class ScaledMachine(CallMachine):
    """A machine whose end-of-turn waits can be scaled at any moment of a call."""

    def scaled_copy(self, scale: float) -> ScaledMachine:
        """An independent machine in the same state."""
        shared = self._ctx.locale  # immutable and large: not copied
        other = copy.deepcopy(self, {id(shared): shared})
        settings = other._ctx.settings
        waits = {
            field.name: getattr(settings.endpointing, field.name) * scale
            for field in fields(settings.endpointing)
            if field.name.endswith("_s") and isinstance(getattr(settings.endpointing, field.name), float)
        }
        other._ctx.settings = replace(settings, endpointing=replace(settings.endpointing, **waits))
        return other


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause of the caller, in log time. ``delays_s`` has, for each of ``SCALES``, the delay from the last voiced sample
    to the decision that the turn is over; infinite where the caller went on before."""

    last_voiced_s: float
    delays_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScoredTurn:
    """One turn: per scale, whether it is cut off, and the delay at its true end (NaN: the end was not seen)."""

    family: str
    label: str
    cut: tuple[bool, ...]
    delay_s: tuple[float, ...]
    longest_pause_s: float


@dataclass(frozen=True, slots=True)
class OperatingCurve:
    """Points in the order of ``SCALES``. ``fixed``: (seconds, share) if a fixed silence ended the same turns."""

    turns: int
    delay_s: tuple[float, ...]
    cut_share: tuple[float, ...]
    fixed: tuple[tuple[float, float], ...]
    cut_at_300_ms: Figure
    delay_at_5_percent: Figure


def pauses_of(events: Sequence[LoggedEvent], settings: MachineSettings) -> list[Pause]:
    """All pauses of one call, in order."""
    machine = ScaledMachine(settings)
    found: list[Pause] = []
    for at, (now, event) in enumerate(events):
        machine.handle(event, now)
        if isinstance(event, SpeechStopped):
            last_voiced_s = now - event.silence_s
            delays = tuple(_decided(machine.scaled_copy(s), events, at + 1, now) - last_voiced_s for s in SCALES)
            found.append(Pause(last_voiced_s, delays))
    return found


def _decided(machine: ScaledMachine, events: Sequence[LoggedEvent], at: int, now: float) -> float:
    """When the machine commits the turn; infinity where the caller goes on, or nothing comes of it."""
    until = now + _GIVE_UP_S
    while at < len(events) and events[at][0] <= until:
        due, event = events[at]
        fired = _fire_timers(machine, due)
        if fired is not None:
            return fired
        if isinstance(event, SpeechStarted):
            return float("inf")
        if not isinstance(event, TimerFired) and _commits(machine, event, due):
            return due
        at += 1
    fired = _fire_timers(machine, until)
    return float("inf") if fired is None else fired


def _fire_timers(machine: ScaledMachine, before: float) -> float | None:
    """Fires what is due up to ``before``; when a turn was committed by that, if one was."""
    while (deadline := machine.deadline()) is not None and deadline <= before:
        if _commits(machine, TimerFired(), deadline):
            return deadline
        if machine.deadline() == deadline:  # a timer that stays due would never end
            return None
    return None


def _commits(machine: ScaledMachine, event: Event, now: float) -> bool:
    return any(isinstance(command, CommitTurn) for command in machine.handle(event, now))


def scored_turns(call: CallTimeline, pauses: Sequence[Pause], turns: Sequence[CallerAct]) -> list[ScoredTurn]:
    """The turns of one call that the log can be matched to (``turns``: those acts that were turns)."""
    if call.log_offset_s is None:
        return []
    scored: list[ScoredTurn] = []
    for act in turns:
        cut = [False] * len(SCALES)
        ends: tuple[float, ...] | None = None
        for pause in pauses:
            at_s = pause.last_voiced_s + call.log_offset_s
            if act.start_s + 0.05 < at_s < act.end_s - _END_SLACK_S:
                cut = [before or delay < float("inf") for before, delay in zip(cut, pause.delays_s, strict=True)]
            elif act.end_s - _END_SLACK_S <= at_s < act.end_s + 2 * _END_SLACK_S:
                shift_s = at_s - act.end_s  # delays count from the true last voiced sample
                ends = tuple(delay + shift_s for delay in pause.delays_s)
        ends = tuple(delay if np.isfinite(delay) else float("nan") for delay in ends or [float("nan")] * len(SCALES))
        longest_s = max((b - a for a, b in act.pauses), default=0.0)
        scored.append(ScoredTurn(call.family, act.label, tuple(cut), ends, longest_s))
    return scored


def curve(turns: Sequence[ScoredTurn], seed: int) -> OperatingCurve | None:
    """The curve over all turns, with bootstrap intervals over turns; None where there are none."""
    if not turns:
        return None
    cut = np.array([turn.cut for turn in turns], dtype=np.float64)
    delay = np.array([turn.delay_s for turn in turns], dtype=np.float64)
    if np.isnan(delay).all(axis=0).any():  # no turn's end was seen: without logs, or with those of a broken run
        return None
    longest = np.array([turn.longest_pause_s for turn in turns])
    medians, shares = np.nanmedian(delay, axis=0), cut.mean(axis=0)
    fixed = tuple((float(x), float(np.mean(longest >= x))) for x in np.arange(0.1, 2.05, 0.05))
    draw = np.random.default_rng(seed)
    at_delay: list[float] = []
    at_share: list[float] = []
    for rows in draw.integers(0, len(turns), (DRAWS // 4, len(turns))):
        if np.isnan(delay[rows]).all(axis=0).any():
            continue
        points = np.nanmedian(delay[rows], axis=0), cut[rows].mean(axis=0)
        at_delay.append(_share_at(*points, _DELAY_S))
        at_share.append(_delay_at(*points, _SHARE_LIMIT))
    return OperatingCurve(
        len(turns),
        tuple(map(float, medians)),
        tuple(map(float, shares)),
        fixed,
        _share_figure(_share_at(medians, shares, _DELAY_S), at_delay, len(turns)),
        _figure(_delay_at(medians, shares, _SHARE_LIMIT), at_share, len(turns)),
    )


def turn_acts(call: CallTimeline, kinds: Mapping[int, Kind]) -> list[CallerAct]:
    """The acts that were turns: ``kinds`` by their place in the call."""
    return [act for number, act in enumerate(call.acts) if kinds.get(number) is Kind.TURN and act.expects_answer]


def _share_at(delays: NDArray[np.float64], shares: NDArray[np.float64], delay_s: float) -> float:
    """The least cut-off share at a median delay of at most ``delay_s``, or of the least that there is."""
    within = np.flatnonzero(delays <= max(delay_s, float(delays.min()) + _FRAME_S))
    best, last = float(shares[within].min()), int(within[-1])
    if last + 1 == shares.size or delays[last + 1] <= delay_s:
        return best
    part = max(0.0, delay_s - float(delays[last])) / float(delays[last + 1] - delays[last])
    return min(best, float(shares[last] + part * (shares[last + 1] - shares[last])))


def _delay_at(delays: NDArray[np.float64], shares: NDArray[np.float64], share: float) -> float:
    """The least delay from which on the share stays at or under ``share``; NaN where it never does."""
    over = np.flatnonzero(shares > share)
    if over.size == 0:
        return float(delays[0])
    last = int(over[-1])
    if last + 1 == shares.size:
        return float("nan")
    part = (shares[last] - share) / (shares[last] - shares[last + 1])
    return float(delays[last] + part * (delays[last + 1] - delays[last]))


def _share_figure(value: float, draws: Sequence[float], n: int) -> Figure:
    return wilson(0, n) if value == 0.0 else _figure(value, draws, n)


def _figure(value: float, draws: Sequence[float], n: int) -> Figure:
    known = [draw for draw in draws if np.isfinite(draw)]
    if not np.isfinite(value) or not known:
        return NO_FIGURE
    low, high = np.quantile(known, [0.025, 0.975])
    return Figure(value, float(low), float(high), n)


def as_json(line: OperatingCurve) -> dict[str, Any]:
    """For the result file: seconds as milliseconds."""
    return {
        "turns": line.turns,
        "scales": list(SCALES),
        "median_delay_ms": [round(1e3 * value, 1) for value in line.delay_s],
        "cut_off_share": [round(value, 4) for value in line.cut_share],
        "fixed_silence": [[round(1e3 * x), round(share, 4)] for x, share in line.fixed],
    }
