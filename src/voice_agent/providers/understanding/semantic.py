"""Policy meanings by hard rules and by example: an ``Understanding`` whose classes live in YAML files that users edit.

Each language has its file. Rules are tried first, sentence by sentence; what they find is certain. Where the file has
examples, a turn is also compared with them: as a whole, sentence by sentence, and, where sentences are long, clause by
clause. A class is accepted when any of these accepts it; a clause must be clearer than a sentence, because it has lost
its context.

The embedding model at hand knows English only, so only the English file has examples. The files of other languages hold
rules for the classes that matter, and a turn in these languages costs no embedding. English rules hold in every call:
callers change language, and those who mean harm write English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from voice_agent.conversation.locales import LANGUAGES, language_of
from voice_agent.models import Meaning, MeaningScore
from voice_agent.providers.data_file import load_data_file
from voice_agent.providers.understanding.matcher import Match, SemanticMatcher, TextEmbedder
from voice_agent.providers.understanding.policy_file import PolicyFile
from voice_agent.providers.understanding.rules import RuleSet
from voice_agent.providers.understanding.segments import Segment, split_turn

_CLAUSE_EXTRA = 0.2  # further score a clause needs
_NEAR_MISS = 0.15  # classes this far below their threshold are still reported, unaccepted
_CERTAIN = 1.0  # score and margin of a class that a rule gives

_COMMON = "en"
# What the masking makes of a card and its code, before a turn comes here.
_MASKED_CARD = re.compile(r"\[(?:CARD|CVV)\b[^\]]*\]")
_MASKED_RULE = "masked_card"


@dataclass(frozen=True, slots=True)
class _Language:
    rules: RuleSet
    matcher: SemanticMatcher | None
    thresholds: dict[Meaning, float]
    beside_rules: float


class SemanticUnderstanding:
    """Shared by the process. ``policy_files`` replace the shipped file of their language, or add one.

    The scores of ``meanings`` come from ``SemanticMatcher``, those of rules are 1. A language without a file is taken for
    English. May be cancelled at any point. Raises ``ConfigError`` for a bad file at construction, ``ProviderError`` from
    ``meanings``.
    """

    def __init__(
        self, embedder: TextEmbedder, *, policy_files: Sequence[Path] = (), cache_dir: Path | None = None
    ) -> None:
        files = {language: load_policy(language) for language in LANGUAGES}
        rule_sets = {language: shipped_rules(language) for language in LANGUAGES}
        for path in policy_files:
            own = load_data_file(PolicyFile, path, "")
            files[own.locale] = own
            rule_sets[own.locale] = own.rule_set()
        common = rule_sets[_COMMON]
        self._languages: dict[str, _Language] = {}
        for language, policy in files.items():
            labels = policy.labels()
            matcher = SemanticMatcher(embedder, labels, margin=policy.margin, cache_dir=cache_dir) if labels else None
            thresholds = {Meaning(label.name): label.threshold for label in labels}
            rules = common if language == _COMMON else rule_sets[language] + common
            self._languages[language] = _Language(rules, matcher, thresholds, policy.threshold_beside_rules)

    async def warm_up(self) -> None:
        for language in self._languages.values():
            if language.matcher is not None:
                await language.matcher.match("hello")

    async def meanings(self, text: str, *, locale: str) -> tuple[MeaningScore, ...]:
        """Accepted classes first, best first, then near-misses; with nothing accepted, ``Meaning.NONE`` leads."""
        language = self._languages.get(language_of(locale), self._languages[_COMMON])
        found: dict[Meaning, MeaningScore] = {}
        if language.matcher is not None:
            found = await _by_examples(text, language, language.matcher)
        by_rule = language.rules.meant(text)
        if by_rule:
            found = {meaning: _beside_rules(score, language.beside_rules) for meaning, score in found.items()}
        for meaning, rule in by_rule.items():
            found[meaning] = MeaningScore(meaning, _CERTAIN, accepted=True, margin=_CERTAIN, rule=rule.name)
        if _MASKED_CARD.search(text):
            found[Meaning.CARD_DETAILS] = MeaningScore(
                Meaning.CARD_DETAILS, _CERTAIN, accepted=True, margin=_CERTAIN, rule=_MASKED_RULE
            )
        none = found.pop(Meaning.NONE, None) or MeaningScore(Meaning.NONE, 0.0, accepted=True)
        near = [
            score
            for score in found.values()
            if score.accepted or score.score >= language.thresholds[score.meaning] - _NEAR_MISS
        ]
        near.sort(key=lambda score: (not score.accepted, -score.score))
        if any(score.accepted for score in near):
            return tuple(near)
        return (MeaningScore(Meaning.NONE, none.score, accepted=True, example=none.example, margin=none.margin), *near)


@cache
def load_policy(language: str) -> PolicyFile:
    """The shipped policy file of a language. Raises ``ConfigError`` if it is damaged."""
    return load_data_file(PolicyFile, None, f"policy.{language}.yaml")


@cache
def shipped_rules(language: str) -> RuleSet:
    """The rules of ``load_policy``; compiled once, because that is a good part of a start."""
    return load_policy(language).rule_set()


def _beside_rules(score: MeaningScore, threshold: float) -> MeaningScore:
    return replace(score, accepted=score.accepted and score.score >= threshold)


async def _by_examples(text: str, language: _Language, matcher: SemanticMatcher) -> dict[Meaning, MeaningScore]:
    """Each class's best score in any part of the turn."""
    found: dict[Meaning, MeaningScore] = {}
    segments = split_turn(text)
    ranked = await matcher.match_all([segment.text for segment in segments])
    for segment, matches in zip(segments, ranked, strict=True):
        for match in matches:
            score = _judge(match, segment, language)
            known = found.get(score.meaning)
            if known is None or (score.accepted, score.score) > (known.accepted, known.score):
                found[score.meaning] = score
    return found


def _judge(match: Match, segment: Segment, language: _Language) -> MeaningScore:
    meaning = Meaning(match.label)
    accepted = match.accepted
    if segment.clause and accepted:
        accepted = match.score >= language.thresholds[meaning] + _CLAUSE_EXTRA and match.lead >= _CLAUSE_EXTRA
    rule = language.rules.forbidding_rule(meaning, segment.text) if accepted else None
    name = "" if rule is None else rule.name
    return MeaningScore(
        meaning, round(match.score, 4), accepted and rule is None, match.example, round(match.lead, 4), name
    )
