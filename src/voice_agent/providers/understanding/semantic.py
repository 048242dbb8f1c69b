"""Policy meanings by example: an ``Understanding`` whose classes live in a YAML file that users edit.

A turn is looked at as a whole, sentence by sentence, and, where sentences are long, clause by clause. A class is
accepted when any of these accepts it; a clause must be clearer than a sentence, because it has lost its context.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from voice_agent.models import Meaning, MeaningScore
from voice_agent.providers.data_file import Entry, load_data_file
from voice_agent.providers.understanding.matcher import Label, Match, SemanticMatcher, TextEmbedder
from voice_agent.providers.understanding.segments import split_turn

_CLAUSE_EXTRA = 0.2  # further score a clause needs
_NEAR_MISS = 0.15  # classes this far below their threshold are still reported, unaccepted

Example = Annotated[str, Field(min_length=1)]


class PolicyClass(Entry):
    """Examples of one meaning; without a ``threshold`` the file's holds."""

    examples: tuple[Example, ...] = Field(min_length=1)
    threshold: float | None = Field(None, ge=0, le=1)


class PolicyFile(Entry):
    """What a policy file holds."""

    version: int = Field(ge=1, le=1)
    locale: str
    threshold: float = Field(ge=0, le=1)
    margin: float = Field(ge=0, le=1)
    classes: Mapping[Meaning, PolicyClass]

    def problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        missing = [meaning.value for meaning in Meaning if meaning not in self.classes]
        if missing:
            yield ("classes",), f"no examples of {', '.join(missing)}: every meaning needs some"


class SemanticUnderstanding:
    """Shared by the process. ``policy_file``: another file than the shipped ``policy.en.yaml``.

    The scores of ``meanings`` come from ``SemanticMatcher``. Examples and embedding model are English; turns in other
    languages are matched as they are, and mostly come out as ``Meaning.NONE``. May be cancelled at any point. Raises
    ``ConfigError`` for a bad file at construction, ``ProviderError`` from ``meanings``.
    """

    def __init__(
        self, embedder: TextEmbedder, *, policy_file: Path | None = None, cache_dir: Path | None = None
    ) -> None:
        policy = load_data_file(PolicyFile, policy_file, "policy.en.yaml")
        self._thresholds = {
            meaning: policy.threshold if entry.threshold is None else entry.threshold
            for meaning, entry in policy.classes.items()
        }
        labels = [
            Label(meaning.value, entry.examples, self._thresholds[meaning]) for meaning, entry in policy.classes.items()
        ]
        self._matcher = SemanticMatcher(embedder, labels, margin=policy.margin, cache_dir=cache_dir)

    async def warm_up(self) -> None:
        await self._matcher.match("hello")

    async def meanings(self, text: str, *, locale: str) -> tuple[MeaningScore, ...]:
        """Accepted classes first, best first, then near-misses; with nothing accepted, ``Meaning.NONE`` leads."""
        segments = split_turn(text)
        found: dict[Meaning, MeaningScore] = {}
        ranked = await self._matcher.match_all([segment.text for segment in segments])
        for segment, matches in zip(segments, ranked, strict=True):
            for match in matches:
                score = self._judge(match, clause=segment.clause)
                known = found.get(score.meaning)
                if known is None or (score.accepted, score.score) > (known.accepted, known.score):
                    found[score.meaning] = score
        none = found.pop(Meaning.NONE)
        near = [
            score
            for score in found.values()
            if score.accepted or score.score >= self._thresholds[score.meaning] - _NEAR_MISS
        ]
        near.sort(key=lambda score: (not score.accepted, -score.score))
        if any(score.accepted for score in near):
            return tuple(near)
        return (MeaningScore(Meaning.NONE, none.score, accepted=True, example=none.example), *near)

    def _judge(self, match: Match, *, clause: bool) -> MeaningScore:
        meaning = Meaning(match.label)
        accepted = match.accepted
        if clause and accepted:
            accepted = match.score >= self._thresholds[meaning] + _CLAUSE_EXTRA and match.lead >= _CLAUSE_EXTRA
        return MeaningScore(meaning, round(match.score, 4), accepted, match.example)
