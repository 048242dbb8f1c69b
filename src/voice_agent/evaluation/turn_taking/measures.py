"""The exact measures: what became of each thing the caller did. Pure.

Theory of operation. The agent *holds the floor* from its first to its last audible sample of a reply. Silences of up to
``KEPT_PAUSE_S`` belong to it: between sentences, and where the server paused for a sound and went on. A ``clear`` or
``stop`` of the server ends it at once, as does a reply that was heard to its end. From the floor's spans follows everything:

- a turn or interruption that begins inside a span is an interruption, whatever the script meant; one outside is a turn;
- an interruption is yielded to when its span ends within ``YIELD_WINDOW_S`` of its onset;
- a backchannel, a noise or side talk is let pass when its span goes on, or came to its own end;
- the same in silence is let pass when the agent does not begin to speak within ``RESPONSE_WINDOW_S`` of its end.

The windows are those of the voice panel of tau-bench (2 s to yield, 1 s in which a backchannel must not stop the agent,
2 s in which a noise must not be answered). Latencies count from the last voiced sample to the first audible one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from voice_agent.evaluation.turn_taking.timeline import CallerAct, CallTimeline, Kind, Mark, Span, joined

KEPT_PAUSE_S = 1.0
YIELD_WINDOW_S = 2.0
PASS_WINDOW_S = 1.0
RESPONSE_WINDOW_S = 2.0
ANSWER_WITHIN_S = 8.0
_SENTENCE_GAP_S = 0.35  # longer than the pause between two sentences of one reply
_AUDIBLE_GAP_S = 0.2  # a shorter silence is a pause for breath, not a reaction
_ONSET_SLACK_S = 0.05  # a sound that began this much before the caller's is no reaction to it
_END_SLACK_S = 0.8  # how long after its last audible sample a reply may be reported as heard to its end


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one act. Seconds; None: not applicable.

    ``kind`` is what it turned out to be. ``latency_s``: end of turn to answer. ``cut_off``: the agent began to speak
    while the turn went on, its pauses included. ``duck_s``: onset to the first reaction (pause, stop, or silence);
    ``quiet_s``: onset to the last audible sample before that silence; ``silence_s``: onset to the last audible sample for
    good. ``passed``: the agent let it pass; ``held_s`` is the longest silence that it caused. ``void`` says why the act
    counts for nothing.
    """

    call: str
    family: str
    variant: str
    label: str
    kind: Kind
    at_s: float
    over_agent: bool
    latency_s: float | None = None
    answered: bool | None = None
    cut_off: bool | None = None
    interruptions_by_agent: int = 0
    yielded: bool | None = None
    duck_s: float | None = None
    quiet_s: float | None = None
    silence_s: float | None = None
    passed: bool | None = None
    held_s: float | None = None
    void: str = ""


def outcomes(call: CallTimeline) -> list[Outcome]:
    """One outcome for each act of the call, in order."""
    floor = joined(call.sound, KEPT_PAUSE_S, call.reply_ends())
    out: list[Outcome] = []
    for number, act in enumerate(call.acts):
        until_s = call.acts[number + 1].start_s if number + 1 < len(call.acts) else call.ends_s
        out.append(_outcome(call, act, floor, until_s))
    return out


def _outcome(call: CallTimeline, act: CallerAct, floor: list[Span], until_s: float) -> Outcome:
    held = _span_at(floor, act.start_s)
    kind = act.meant_as
    if kind.wants_the_floor:
        kind = Kind.TURN if held is None else Kind.INTERRUPTION
        return _floor_taken(call, act, kind, held, until_s)
    return _let_pass(call, act, held, until_s)


def _floor_taken(call: CallTimeline, act: CallerAct, kind: Kind, held: Span | None, until_s: float) -> Outcome:
    onsets = [start_s for start_s, _ in joined(call.sound, _SENTENCE_GAP_S, call.marked(Mark.CLEAR))]
    during = [at_s for at_s in onsets if act.start_s + _ONSET_SLACK_S < at_s <= act.end_s]
    talking_at_end = _span_at(list(call.sound), act.end_s) is not None
    later = [at_s for at_s in onsets if act.end_s < at_s <= min(until_s, act.end_s + ANSWER_WITHIN_S)]
    latency_s = later[0] - act.end_s if later and not during and not talking_at_end else None
    base = _base(call, act, kind, held is not None)
    answered = bool(later) or bool(during) if act.expects_answer else None
    if answered is False and until_s - act.end_s < ANSWER_WITHIN_S and call.ends_s - act.end_s < ANSWER_WITHIN_S:
        answered = None  # the call ended before an answer was due
    if held is None:
        return replace(
            base, latency_s=latency_s, answered=answered, cut_off=bool(during), interruptions_by_agent=len(during)
        )
    silence_s = held[1] - act.start_s
    if _came_to_its_end(call, held) and silence_s <= YIELD_WINDOW_S:
        return replace(base, void="the reply ended by itself")
    yielded = silence_s <= YIELD_WINDOW_S
    duck_s, quiet_s = _reaction(call, act, held)
    return replace(
        base,
        latency_s=latency_s if yielded and act.expects_answer else None,
        answered=answered if yielded else None,
        interruptions_by_agent=len(during),
        yielded=yielded,
        duck_s=duck_s,
        quiet_s=quiet_s,
        silence_s=silence_s if yielded else None,
    )


def _let_pass(call: CallTimeline, act: CallerAct, held: Span | None, until_s: float) -> Outcome:
    base = _base(call, act, act.meant_as, held is not None)
    if held is None:
        if any(end_s > act.start_s - 0.3 for _, end_s in call.sound if end_s <= act.start_s):
            return replace(base, void="the agent had just finished")
        answered = any(act.start_s < start_s <= act.end_s + RESPONSE_WINDOW_S for start_s, _ in call.sound)
        return replace(base, passed=not answered)
    window_end_s = min(act.end_s + PASS_WINDOW_S, until_s)
    ended = held[1] <= window_end_s and not _came_to_its_end(call, held)
    inside = [(max(a, act.start_s), b) for a, b in call.sound if b > act.start_s and a <= held[1]]
    gaps = [b[0] - a[1] for a, b in itertools.pairwise(inside) if a[1] <= window_end_s]
    held_s = max(gaps, default=0.0)
    return replace(base, passed=not ended, held_s=None if ended else held_s)


def _reaction(call: CallTimeline, act: CallerAct, held: Span) -> tuple[float | None, float | None]:
    """(onset to the first reaction, onset to the last audible sample before the silence it brings)."""
    told = [at_s for at_s in call.marked(Mark.PAUSE, Mark.STOP, Mark.CLEAR) if at_s >= act.start_s]
    first_s = told[0] if told and told[0] <= act.start_s + YIELD_WINDOW_S else None
    since_s = act.start_s if first_s is None else first_s
    quiet_s: float | None = None
    sound = [span for span in call.sound if span[0] <= held[1]]
    for number, (_, end_s) in enumerate(sound):
        resumes_s = sound[number + 1][0] if number + 1 < len(sound) else float("inf")
        if resumes_s - end_s >= _AUDIBLE_GAP_S and resumes_s > since_s and end_s >= act.start_s:
            quiet_s = end_s - act.start_s
            break
    duck_s = first_s - act.start_s if first_s is not None else quiet_s
    return duck_s, quiet_s


def _came_to_its_end(call: CallTimeline, held: Span) -> bool:
    return any(held[1] - _SENTENCE_GAP_S <= at_s <= held[1] + _END_SLACK_S for at_s in call.marked(Mark.FINISHED))


def _span_at(spans: list[Span], at_s: float) -> Span | None:
    return next((span for span in spans if span[0] <= at_s < span[1]), None)


def _base(call: CallTimeline, act: CallerAct, kind: Kind, over_agent: bool) -> Outcome:
    return Outcome(call.name, call.family, act.variant, act.label, kind, act.start_s, over_agent)
