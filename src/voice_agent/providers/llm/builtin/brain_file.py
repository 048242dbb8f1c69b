"""What a brain file holds: intents, questions, templates and rules, checked as a whole when it is loaded.

``data/brain.en.yaml`` is the shipped one and explains every key to the people who edit it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from voice_agent.models import OpenQuestion
from voice_agent.providers.data_file import Entry, load_data_file
from voice_agent.providers.llm.builtin.filters import Calendar, build_filters
from voice_agent.providers.llm.builtin.templates import Ask, Each, Phrasebook, Slot, TemplateError, parse

Place = tuple[str | int, ...]


def _as_tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Text = Annotated[str, Field(min_length=1)]
Variants = Annotated[tuple[Text, ...], BeforeValidator(_as_tuple), Field(min_length=1)]

#: What rules may ask about, and the values a fact can have (``None`` stands for any). Each slot is a fact as well.
FACTS: Mapping[str, frozenset[str] | None] = {
    "intent": None,
    "asked": None,
    "tries": frozenset({"none", "once", "often"}),
    "proposed": None,
    "number": frozenset({"none", "known", "new"}),
    "picked": frozenset({"none", "focus", "one", "several", "all"}),
    "orders": frozenset({"unknown", "none", "one", "several", "many"}),
    "listed": frozenset({"yes", "no"}),
    "points_back": frozenset({"yes", "no"}),
    "misses": frozenset({"none", "once", "often"}),
    "last": frozenset({"yes", "no"}),
    "rest": frozenset({"yes", "no"}),
    "words": frozenset({"few", "enough"}),
    "goes_on": frozenset({"yes", "no"}),
    "parting": frozenset({"yes", "no"}),
    "verified": frozenset({"yes", "no"}),
    "tool": None,
    "result": frozenset({"ok", "business_error", "denied", "invalid", "failed"}),
    "reason": None,
    "answerable": frozenset({"yes", "no"}),
}
_RESULT_FACTS = frozenset({"tool", "result", "reason", "answerable"})
#: Rules may also ask what a value is: one of the order in question, or of a tool's result.
_VALUE_ROOTS = ("order", "result")


class IntentEntry(Entry):
    """See ``brain.en.yaml``."""

    examples: tuple[Text, ...] = Field(min_length=1)
    topic: str = ""
    social: bool = False
    aspect: bool = False
    resumes: bool = False
    preface: str = ""
    threshold: float | None = Field(None, ge=0, le=1)
    tool: str = ""
    otherwise: str = ""
    questions: Names = ()
    offered: Names = ()
    states: Names = ()
    unless: Mapping[Text, Text] = Field(default_factory=dict)

    def meant_by(self, text: str) -> str:
        """The intent as which a turn of this one counts by its words; "" where it is this one."""
        lowered = text.lower().replace("’", "'")
        return next((name for name, pattern in self.unless.items() if re.search(pattern, lowered)), "")

    @property
    def about_orders(self) -> bool:
        """Whether the same may be wanted of another order next."""
        return self.aspect or bool(self.states)


class SlotEntry(Entry):
    """See ``brain.en.yaml``: ``values`` for one of several words, ``reads: address`` for a postal address."""

    question: str = ""
    values: Mapping[Text, Text] = Field(default_factory=dict)
    as_said: Mapping[Text, Text] = Field(default_factory=dict)
    reads: Literal["", "address"] = ""


class CallEntry(Entry):
    tool: Text
    args: Mapping[str, str] = Field(default_factory=dict)


class RuleEntry(Entry):
    when: Mapping[str, Names]
    needs: str = ""
    say: Names = ()
    call: CallEntry | None = None


class ReferenceEntry(Entry):
    pattern: Text
    pick: Literal["first", "second", "third", "fourth", "fifth", "last", "newest", "oldest", "other", "all"]


class BrainFile(Entry):
    """A whole file, valid in itself and between its parts."""

    version: int = Field(ge=1, le=1)
    locale: Text
    threshold: float = Field(ge=0, le=1)
    margin: float = Field(ge=0, le=1)
    clause_extra: float = Field(ge=0, le=1)
    default_aspect: Text
    order_digits: int = Field(ge=4, le=20)
    intents: Mapping[str, IntentEntry]
    slots: Mapping[str, SlotEntry]
    keeps_open: Names
    asks_again: Names
    points_back: Text
    own_question: Text
    negation: Text
    references: tuple[ReferenceEntry, ...]
    follow_up: Text
    follow_up_joint: Text
    questions: Mapping[str, Variants]
    templates: Mapping[str, Variants]
    turns: tuple[RuleEntry, ...]
    results: tuple[RuleEntry, ...]
    words: Mapping[str, str]
    currencies: Mapping[str, str]
    months: tuple[str, ...] = Field(min_length=12, max_length=12)
    weekdays: tuple[str, ...] = Field(min_length=7, max_length=7)
    date: Text
    one_day: Text
    days_between: Text

    def problems(self) -> Iterator[tuple[Place, str]]:
        yield from self._pattern_problems()
        yield from self._template_problems("questions", self.questions)
        yield from self._template_problems("templates", self.templates)
        yield from self._intent_problems()
        yield from self._slot_problems()
        for section, rules in (("turns", self.turns), ("results", self.results)):
            for index, rule in enumerate(rules):
                yield from self._rule_problems((section, index), rule, results=section == "results")
        for needed in (
            "not_understood",
            "not_understood_human",
            "repeat",
            "slowly",
            "briefly",
            "take_your_time",
            "failure",
        ):
            if needed not in self.templates:
                yield ("templates",), f"no template {needed!r}: the program itself uses it"

    def phrasebook(self) -> Phrasebook:
        filters = build_filters(
            words=self.words,
            currencies=self.currencies,
            calendar=Calendar(self.months, self.weekdays, self.date, self.one_day, self.days_between),
        )
        return Phrasebook(self.templates, self.questions, filters)

    def _pattern_problems(self) -> Iterator[tuple[Place, str]]:
        patterns: list[tuple[Place, str]] = [
            (("follow_up",), self.follow_up),
            (("follow_up_joint",), self.follow_up_joint),
            (("points_back",), self.points_back),
            (("own_question",), self.own_question),
            (("negation",), self.negation),
        ]
        patterns += [
            (("slots", name, key, value), pattern)
            for name, slot in self.slots.items()
            for key, by_value in (("values", slot.values), ("as_said", slot.as_said))
            for value, pattern in by_value.items()
        ]
        patterns += [
            (("intents", name, "unless", other), pattern)
            for name, intent in self.intents.items()
            for other, pattern in intent.unless.items()
        ]
        patterns += [(("references", n, "pattern"), entry.pattern) for n, entry in enumerate(self.references)]
        for place, pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                yield place, f"not a regular expression: {error}"

    def _template_problems(self, section: str, templates: Mapping[str, Variants]) -> Iterator[tuple[Place, str]]:
        filters = build_filters(words={}, currencies={}, calendar=Calendar((), (), "", "", ""))
        for name, variants in templates.items():
            for index, variant in enumerate(variants):
                place = (section, name, index)
                try:
                    mentions = list(parse(variant).mentions())
                except TemplateError as error:
                    yield place, str(error)
                    continue
                for part in mentions:
                    if isinstance(part, Ask) and part.question not in self.questions:
                        yield place, f"there is no question {part.question!r}"
                    elif isinstance(part, Ask) and section == "questions":
                        yield place, "a question cannot hold another question"
                    elif isinstance(part, Each) and part.template not in self.templates:
                        yield place, f"there is no template {part.template!r}"
                    elif isinstance(part, Slot):
                        unknown = [name for name in part.filters if name not in filters]
                        if unknown:
                            yield place, f"there is no filter {unknown[0]!r}; there are {', '.join(sorted(filters))}"

    def _intent_problems(self) -> Iterator[tuple[Place, str]]:
        if self.default_aspect not in self.intents:
            yield ("default_aspect",), f"there is no intent {self.default_aspect!r}"
        owners: dict[str, str] = {}
        for name, intent in self.intents.items():
            if intent.preface and intent.preface not in self.templates:
                yield ("intents", name, "preface"), f"there is no template {intent.preface!r}"
            for key, questions in (("questions", intent.questions), ("offered", intent.offered)):
                for question in questions:
                    if question not in self.questions:
                        yield ("intents", name, key), f"there is no question {question!r}"
            if bool(intent.tool) != bool(intent.otherwise):
                yield ("intents", name), "tool and otherwise must stand together"
            if intent.otherwise and (intent.otherwise not in self.intents or self.intents[intent.otherwise].tool):
                yield ("intents", name, "otherwise"), f"there is no intent {intent.otherwise!r} that needs no tool"
            for other in intent.unless:
                if other not in self.intents:
                    yield ("intents", name, "unless", other), f"there is no intent {other!r}"
            for index, example in enumerate(intent.examples):
                owner = owners.setdefault(example.lower(), name)
                if owner != name:
                    yield ("intents", name, "examples", index), f"{example!r} is an example of {owner!r} already"

    def _slot_problems(self) -> Iterator[tuple[Place, str]]:
        for name, slot in self.slots.items():
            if name in FACTS:
                yield ("slots", name), f"{name!r} is a fact already: choose another name"
            if bool(slot.values) == bool(slot.reads):
                yield ("slots", name), "a slot needs values or reads, and not both"
            for value in slot.as_said:
                if value not in slot.values:
                    yield ("slots", name, "as_said", value), f"{value!r} is not one of the slot's values"
            if slot.question and slot.question not in self.questions:
                yield ("slots", name, "question"), f"there is no question {slot.question!r}"
        for key, names in (("keeps_open", self.keeps_open), ("asks_again", self.asks_again)):
            for index, name in enumerate(names):
                if name not in self.intents and name != "none":
                    yield (key, index), f"there is no intent {name!r}"

    def _rule_problems(self, place: Place, rule: RuleEntry, *, results: bool) -> Iterator[tuple[Place, str]]:
        if not rule.say and not rule.call:
            yield place, "a rule must say or call something"
        for fact, values in rule.when.items():
            root, dot, _ = fact.partition(".")
            if dot and root in _VALUE_ROOTS and (results or root != "result"):
                continue
            if (fact not in FACTS and fact not in self.slots) or (not results and fact in _RESULT_FACTS):
                known = ", ".join(sorted({*FACTS, *self.slots}))
                yield (*place, "when", fact), f"there is no such fact here; there are {known}"
                continue
            allowed = self._allowed(fact)
            wrong = [value for value in values if allowed is not None and value not in allowed]
            if wrong:
                yield (*place, "when", fact), f"{wrong[0]!r} is not one of {', '.join(sorted(allowed or ()))}"
        for name in rule.say:
            for intent in self._intents_of(rule) if "{intent}" in name else [""]:
                general = re.sub(r"\{[^{}]*\}", "other", name.replace("{intent}", intent))
                if general not in self.templates:
                    yield (*place, "say"), f"there is no template {general!r}"

    def _intents_of(self, rule: RuleEntry) -> list[str]:
        """The intents for which a rule names a template of their own: those of its condition, or every aspect."""
        wanted = rule.when.get("intent", ())
        about = {name: intent for name, intent in self.intents.items() if intent.about_orders}
        named = [name for name, i in about.items() if name in wanted or f"topic:{i.topic}" in wanted]
        return named or [name for name, intent in about.items() if intent.aspect]

    def _allowed(self, fact: str) -> frozenset[str] | None:
        if fact == "intent":
            return frozenset(self.intents) | {"none"} | self._topics()
        if fact == "asked":
            return frozenset(self.questions) | {question.value for question in OpenQuestion}
        if fact in self.slots:
            slot = self.slots[fact]
            return frozenset(slot.values or {"given"}) | {"none"}
        return FACTS[fact]

    def _topics(self) -> frozenset[str]:
        """Rules may name a topic instead of each of its intents, as "topic:order"."""
        return frozenset(f"topic:{intent.topic}" for intent in self.intents.values() if intent.topic)


def load_brain(path: Path | None = None) -> BrainFile:
    """The brain at ``path``, or the shipped English one. Raises ``ConfigError`` naming file, line and mistake."""
    return load_data_file(BrainFile, path, "brain.en.yaml")
