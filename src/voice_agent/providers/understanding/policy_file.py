"""What a policy file holds: classes of meaning told by examples, and hard rules. One file per language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import Field

from voice_agent.models import Meaning
from voice_agent.providers.data_file import Entry
from voice_agent.providers.understanding.matcher import Label
from voice_agent.providers.understanding.rules import Name, RuleEntry, RuleSet, compile_rules, rule_problems

Example = Annotated[str, Field(min_length=1)]


class PolicyClass(Entry):
    """Examples of one meaning; without a ``threshold`` or ``margin`` the file's holds."""

    examples: tuple[Example, ...] = Field(min_length=1)
    threshold: float | None = Field(None, ge=0, le=1)
    margin: float | None = Field(None, ge=0, le=1)


class PolicyFile(Entry):
    """``locale`` is a language ("en"). Either every meaning has examples, or none: then the rules alone decide, as in
    languages that the embedding model does not know. ``threshold_beside_rules`` is the least score of a class in a turn
    to which a rule gives another class already: what a rule explains is not also weakly like something else."""

    version: int = Field(ge=1, le=1)
    locale: str = Field(pattern=r"^[a-z]{2,3}$")
    threshold: float = Field(0.3, ge=0, le=1)
    margin: float = Field(0.02, ge=0, le=1)
    threshold_beside_rules: float = Field(0.5, ge=0, le=1)
    classes: Mapping[Meaning, PolicyClass] = Field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    words: Mapping[Name, Example] = Field(default_factory=dict)
    rules: tuple[RuleEntry, ...] = ()

    def problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        missing = [meaning.value for meaning in Meaning if meaning not in self.classes]
        if missing and (self.classes or not self.rules):
            yield ("classes",), f"no examples of {', '.join(missing)}: every meaning needs some"
        yield from rule_problems(self.rules, self.words)

    def labels(self) -> list[Label]:
        """The classes as the matcher takes them."""
        return [
            Label(
                meaning.value,
                entry.examples,
                self.threshold if entry.threshold is None else entry.threshold,
                self.margin if entry.margin is None else entry.margin,
            )
            for meaning, entry in self.classes.items()
        ]

    def rule_set(self) -> RuleSet:
        return compile_rules(self.rules, word_lists=self.words, ignored=self.ignored, prefix=self.locale)
