"""The labelled caller turns of ``tests/data/policy_utterances.yaml``, and what policy makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from voice_agent.conversation.policy import decide
from voice_agent.models import Meaning, PolicyAction, PolicyDecision, PolicyReason
from voice_agent.providers.understanding.base import Understanding

_DATA = Path(__file__).parents[3] / "data"
FILE = _DATA / "policy_utterances.yaml"
STRANGERS_FILE = _DATA / "policy_strangers.yaml"

MEANING_OF = {
    PolicyReason.PROMPT_INJECTION: Meaning.INJECTION,
    PolicyReason.ABUSE: Meaning.ABUSE,
    PolicyReason.HUMAN_REQUESTED: Meaning.HUMAN_WANTED,
    PolicyReason.EMERGENCY: Meaning.EMERGENCY,
    PolicyReason.LEGAL_THREAT: Meaning.LEGAL_THREAT,
    PolicyReason.FRAUD_REPORT: Meaning.FRAUD_REPORT,
    PolicyReason.CARD_DETAILS: Meaning.CARD_DETAILS,
    PolicyReason.IDENTITY_REQUIRED: Meaning.NEEDS_IDENTITY,
    PolicyReason.NONE: Meaning.NONE,
}
ESCALATING = frozenset({Meaning.HUMAN_WANTED, Meaning.EMERGENCY, Meaning.LEGAL_THREAT, Meaning.FRAUD_REPORT})


@dataclass(frozen=True)
class Utterance:
    """``part``: a section of the file, or the language of those in another than English."""

    part: str
    near_miss: bool
    meaning: Meaning
    text: str
    language: str = "en"


@dataclass(frozen=True)
class Judged:
    utterance: Utterance
    decision: PolicyDecision

    @property
    def right(self) -> bool:
        return MEANING_OF[self.decision.reason] is self.utterance.meaning

    @property
    def wrongly_escalated(self) -> bool:
        return self.decision.action is PolicyAction.ESCALATE and self.utterance.meaning not in ESCALATING

    def __str__(self) -> str:
        d = self.decision
        why = f"{d.rule or d.evidence!r}, score {d.score:.2f}, margin {d.margin:.2f}"
        return f"{self.utterance.text!r} is {self.utterance.meaning}, was taken for {d.reason} ({why})"


@dataclass(frozen=True)
class Figures:
    """Shares are in [0, 1]."""

    judged: tuple[Judged, ...]

    @property
    def accuracy(self) -> float:
        return _share([j.right for j in self.judged])

    @property
    def human_recall(self) -> float:
        return _share([j.right for j in self.judged if j.utterance.meaning is Meaning.HUMAN_WANTED])

    @property
    def false_escalation(self) -> float:
        return _share([j.wrongly_escalated for j in self.judged if j.utterance.meaning not in ESCALATING])

    @property
    def wrong(self) -> str:
        return "\n".join(str(j) for j in self.judged if not j.right)

    def of(self, parts: Iterable[str]) -> Figures:
        wanted = frozenset(parts)
        return Figures(tuple(j for j in self.judged if j.utterance.part in wanted))

    def __str__(self) -> str:
        return (
            f"{len(self.judged)} turns, {self.accuracy:.1%} right, human-wanted recall {self.human_recall:.1%}, "
            f"false escalation {self.false_escalation:.1%}"
        )


def _share(hits: list[bool]) -> float:
    return sum(hits) / len(hits) if hits else 1.0


def utterances() -> list[Utterance]:
    data = yaml.load(FILE.read_text("utf-8"), yaml.BaseLoader)
    others = data.pop("other_languages")
    english = [
        Utterance(part, kind == "near_misses", Meaning(meaning), text)
        for part, kinds in data.items()
        for kind, classes in kinds.items()
        for meaning, texts in classes.items()
        for text in texts
    ]
    foreign = [
        Utterance(language, Meaning(meaning) is Meaning.NONE, Meaning(meaning), text, language)
        for language, classes in others.items()
        for meaning, texts in classes.items()
        for text in texts
    ]
    return english + foreign


@dataclass(frozen=True)
class Strangers:
    """Turns of ``tests/data/policy_strangers.yaml`` that ask for a human, and others that sound like it."""

    asks: tuple[str, ...]
    asks_not: tuple[str, ...]


def strangers(part: str) -> Strangers:
    """``part``: "development" or "held_out"."""
    turns = yaml.load(STRANGERS_FILE.read_text("utf-8"), yaml.BaseLoader)[part]
    return Strangers(tuple(turns["asks"]), tuple(turns["asks_not"]))


@dataclass(frozen=True)
class HumanWanted:
    """Whether those who ask for a human are told from those who do not. Shares are in [0, 1]."""

    turns: Strangers
    taken: frozenset[str]  # for a wish

    @property
    def missed(self) -> list[str]:
        return [text for text in self.turns.asks if text not in self.taken]

    @property
    def false_alarms(self) -> list[str]:
        return [text for text in self.turns.asks_not if text in self.taken]

    @property
    def recall(self) -> float:
        return 1 - len(self.missed) / len(self.turns.asks)

    @property
    def false_alarm_share(self) -> float:
        return len(self.false_alarms) / len(self.turns.asks_not)

    def __str__(self) -> str:
        asks, others = len(self.turns.asks), len(self.turns.asks_not)
        return (
            f"{asks} wishes for a human, {self.recall:.1%} found ({asks - len(self.missed)}); {others} that sound like one, "
            f"{self.false_alarm_share:.1%} taken for it ({len(self.false_alarms)})"
        )


async def judge_strangers(understanding: Understanding, part: str) -> HumanWanted:
    """What policy makes of ``strangers(part)``."""
    turns = strangers(part)
    texts = [*turns.asks, *turns.asks_not]
    figures = await judge(understanding, [Utterance(part, False, Meaning.NONE, text) for text in texts])
    wishes = [j.utterance.text for j in figures.judged if j.decision.reason is PolicyReason.HUMAN_REQUESTED]
    return HumanWanted(turns, frozenset(wishes))


async def judge(understanding: Understanding, turns: Iterable[Utterance]) -> Figures:
    """What policy decides about each turn of a caller who is not verified."""
    judged = []
    for turn in turns:
        meanings = await understanding.meanings(turn.text, locale=turn.language)
        judged.append(Judged(turn, decide(meanings, verified=False, failures=0, max_failures=3)))
    return Figures(tuple(judged))
