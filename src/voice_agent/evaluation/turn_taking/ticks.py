"""The same measures on ticks of 200 ms, by the definitions of the voice panel of tau-bench ("tau-voice", metrics 1.0).

A tick holds speech of the caller where a turn, an interruption, a backchannel or side talk (from first to last voiced
sample, pauses included) touches it, and speech of the agent where audio of it is played, silent or not.

Two readings. *As published*, a single tick without audio of the agent counts as having stopped: an agent that pauses for a
moment and goes on has failed, as has one that stopped. *With pauses kept*, silences of up to ``KEPT_PAUSE_S`` inside one
reply belong to its speech, as in the exact measures. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from voice_agent.evaluation.turn_taking.measures import (
    KEPT_PAUSE_S,
    PASS_WINDOW_S,
    RESPONSE_WINDOW_S,
    YIELD_WINDOW_S,
)
from voice_agent.evaluation.turn_taking.timeline import CallerAct, CallTimeline, Kind, Span, joined

TICK_S = 0.2

Flags = NDArray[np.bool_]


@dataclass(slots=True)
class TickEvents:
    """Events of one or more calls, one entry each; seconds are whole ticks."""

    response_latency_s: list[float] = field(default_factory=list)
    responded: list[bool] = field(default_factory=list)
    yield_latency_s: list[float] = field(default_factory=list)
    yielded: list[bool] = field(default_factory=list)
    agent_interrupts: list[int] = field(default_factory=list)  # for each turn that could be answered
    passed: dict[Kind, list[bool]] = field(default_factory=dict)

    def add(self, other: TickEvents) -> None:
        self.response_latency_s += other.response_latency_s
        self.responded += other.responded
        self.yield_latency_s += other.yield_latency_s
        self.yielded += other.yielded
        self.agent_interrupts += other.agent_interrupts
        for kind, values in other.passed.items():
            self.passed.setdefault(kind, []).extend(values)


def tick_events(call: CallTimeline, *, keep_pauses: bool) -> TickEvents:
    """Everything that the panel counts in one call, in one of the two readings."""
    count = int(np.ceil(call.ends_s / TICK_S)) + 1
    agent = _flags(joined(call.played, KEPT_PAUSE_S, call.reply_ends()) if keep_pauses else list(call.played), count)
    agent_starts = [tick for tick in range(1, count) if agent[tick] and not agent[tick - 1]]
    events = TickEvents()
    directed = [act for act in call.acts if act.meant_as.wants_the_floor]
    for act in call.acts:
        first, last = _ticks(act)
        if first >= count:
            continue
        if not act.meant_as.wants_the_floor:
            window = RESPONSE_WINDOW_S if not agent[first] else PASS_WINDOW_S
            passed = _passed(agent, agent_starts, first, last, window)
            events.passed.setdefault(act.meant_as, []).append(passed)
        elif agent[first]:
            _yield_event(events, agent, first)
    for number, act in enumerate(directed):
        next_start = _ticks(directed[number + 1])[0] if number + 1 < len(directed) else None
        _response_event(events, agent, agent_starts, act, next_start)
    return events


def _passed(agent: Flags, starts: list[int], first: int, last: int, window_s: float) -> bool:
    window = round(window_s / TICK_S)
    if agent[first]:
        return bool(agent[first : first + window].all())
    return not any(first <= tick <= last + window for tick in starts)


def _yield_event(events: TickEvents, agent: Flags, first: int) -> None:
    quiet = np.flatnonzero(~agent[first : first + round(YIELD_WINDOW_S / TICK_S)])
    events.yielded.append(quiet.size > 0)
    if quiet.size:
        events.yield_latency_s.append(int(quiet[0]) * TICK_S)


def _response_event(
    events: TickEvents, agent: Flags, starts: list[int], act: CallerAct, next_start: int | None
) -> None:
    """For turns that end with the agent silent; one without any later speech of either side counts for nothing."""
    first, last = _ticks(act)
    if not act.expects_answer:
        return
    interrupts = sum(first < tick <= last for tick in starts)
    events.agent_interrupts.append(interrupts)
    if last >= agent.size or agent[last]:
        return
    answer = next((tick for tick in starts if tick > last), None)
    if answer is None and next_start is None:
        return
    responded = answer is not None and (next_start is None or answer <= next_start)
    events.responded.append(responded)
    if responded and answer is not None:
        events.response_latency_s.append((answer - last - 1) * TICK_S)


def _ticks(act: CallerAct) -> tuple[int, int]:
    """First and last tick that the act touches."""
    return int(act.start_s / TICK_S), int(act.end_s / TICK_S)


def _flags(spans: list[Span], count: int) -> Flags:
    flags = np.zeros(count, dtype=np.bool_)
    for start_s, end_s in spans:
        flags[int(start_s / TICK_S) : int(np.ceil(end_s / TICK_S))] = True
    return flags
