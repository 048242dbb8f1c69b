"""What a caller turn wants: one intent, or two where the turn clearly asks two things."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voice_agent.conversation.spoken_forms.heard import normalise_heard
from voice_agent.providers.llm.builtin.brain_file import BrainFile, IntentEntry
from voice_agent.providers.understanding.matcher import Label, Match, SemanticMatcher, TextEmbedder
from voice_agent.providers.understanding.segments import Segment, split_turn

NO_INTENT = "none"


@dataclass(frozen=True, slots=True)
class Task:
    """One thing a turn asks; ``text`` are the caller's words for it. ``plain``: they say by themselves what is meant, and
    nothing said before can make it something else."""

    intent: str
    text: str
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """``tasks`` is never empty; ``prefaces`` are templates to speak first ("I'm sorry about that")."""

    tasks: tuple[Task, ...]
    prefaces: tuple[str, ...] = ()


class IntentReader:
    """Shared by the process. Raises what the embedder raises."""

    def __init__(self, brain: BrainFile, embedder: TextEmbedder, cache_dir: Path | None) -> None:
        self._brain = brain
        labels = [
            Label(name, entry.examples, brain.threshold if entry.threshold is None else entry.threshold)
            for name, entry in brain.intents.items()
        ]
        self._thresholds = {label.name: label.threshold for label in labels}
        self._matcher = SemanticMatcher(embedder, labels, margin=brain.margin, cache_dir=cache_dir)

    async def prepare(self) -> None:
        await self._matcher.match("hello")

    async def intent_of(self, text: str) -> str:
        """The intent of a text taken as a whole."""
        best = (await self._matcher.match(_typical(text)))[0]
        return self._turned(Task(best.label, text)) or best.label if best.accepted else NO_INTENT

    async def read(self, text: str) -> Reading:
        segments = split_turn(text)
        ranked = await self._matcher.match_all([_typical(segment.text) for segment in segments])
        best = [matches[0] for matches in ranked]
        whole = best[0]
        parts = [
            (match, segment)
            for match, segment in zip(best[1:], segments[1:], strict=True)
            if self._accepted(match, segment)
        ]
        tasks = [(match, segment) for match, segment in parts if not self._entry(match).social]
        prefaces = tuple(
            dict.fromkeys(entry.preface for match, _ in parts if (entry := self._entry(match)).social and entry.preface)
        )
        first_of_topic = {self._entry(match).topic: (match, segment) for match, segment in reversed(tasks)}
        first_of_topic.pop("", None)
        if len(first_of_topic) > 1:
            chosen = sorted(first_of_topic.values(), key=lambda part: segments.index(part[1]))[:2]
            return Reading(self._meant([Task(match.label, segment.text) for match, segment in chosen]), prefaces)
        if whole.accepted and not self._entry(whole).social:
            instead = [Task(match.label, segment.text) for match, segment in tasks]
            return Reading(self._meant([Task(whole.label, text)], instead), prefaces)
        if tasks:
            match, segment = max(tasks, key=lambda part: part[0].score)
            return Reading(self._meant([Task(match.label, segment.text)]), prefaces)
        return Reading((Task(self._social(whole, parts), text),))

    def _meant(self, tasks: Sequence[Task], instead: Sequence[Task] = ()) -> tuple[Task, ...]:
        """The tasks as the words mean them (``unless``). What a caller does not want gives way to what else they ask, in
        another of the tasks or of those ``instead``: "don't cancel the tent, cancel the jacket"."""
        wanted = [task for task in tasks if not self._turned(task)]
        wanted = wanted or [task for task in instead if not self._turned(task)][:1]
        return tuple(wanted) or tuple(Task(self._turned(task), task.text, plain=True) for task in tasks[:1])

    def _turned(self, task: Task) -> str:
        return self._brain.intents[task.intent].meant_by(task.text)

    def _social(self, whole: Match, parts: Sequence[tuple[Match, Segment]]) -> str:
        if whole.accepted:
            return whole.label
        return parts[-1][0].label if parts else NO_INTENT

    def _entry(self, match: Match) -> IntentEntry:
        return self._brain.intents[match.label]

    def _accepted(self, match: Match, segment: Segment) -> bool:
        if not segment.clause:
            return match.accepted
        extra = self._brain.clause_extra  # a clause has lost its context, so it must be clearer
        return match.accepted and match.score >= self._thresholds[match.label] + extra and match.lead >= extra


_NUMBER = re.compile(r"\b[A-Z]*-?\d{4,}\b")
_TYPICAL_NUMBER = "83102"


def _typical(text: str) -> str:
    """With one and the same order number in place of any, as in the examples: which number it is says nothing about
    what is wanted, but its words would weigh in."""
    return _NUMBER.sub(_TYPICAL_NUMBER, normalise_heard(text))
