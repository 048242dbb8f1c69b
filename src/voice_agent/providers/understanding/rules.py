"""Hard rules: regular expressions over a caller's words that give a turn a meaning, or keep it from one.

Examples need an embedding model that knows the language; these work in any, and say the same every time. A rule is
written for words as ``plain_words`` leaves them: lower case, without accents, punctuation and hesitations. Expressions
are read the same way, so that a rule may be written with its accents.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from voice_agent.models import Meaning
from voice_agent.providers.data_file import Entry

_SENTENCE_END = re.compile(r"(?<=[.!?;؟؛])\s+")
_NO_WORD = re.compile(r"[^\w']+|_+")
_LOOSE_APOSTROPHE = re.compile(r"(?<!\w)'|'(?!\w)")
_WORD_LIST = re.compile(r"\{([a-z]\w*)\}")  # a count like {1,3} begins with a digit
_CAPITAL = re.compile(r"(?<!\\)[A-Z]")
# One letter for those that writers and recognisers of Arabic exchange (NFKD already takes hamza and vowel signs off);
# tatweel only stretches a word.
_ALIKE = str.maketrans({"ى": "ي", "ة": "ه", "ـ": "", "’": "'", "‘": "'", "ʼ": "'", "`": "'"})

Place = tuple[str | int, ...]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]


class RuleEntry(Entry):
    """One rule of a file: where one of ``patterns`` is found in a sentence and none of ``unless``, the turn ``means``
    that class; or, with ``never``, examples cannot give the sentence that class."""

    name: Name
    means: Meaning | None = None
    never: Meaning | None = None
    patterns: tuple[Text, ...] = Field(min_length=1)
    unless: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """``name`` is unique over all files ("es.persona") and is what a decision's record shows."""

    name: str
    meaning: Meaning
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None

    def found_in(self, words: str) -> bool:
        return self.pattern.search(words) is not None and (self.unless is None or not self.unless.search(words))


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of one or more files, in their order. Pure; shared by the process."""

    meaning: tuple[Rule, ...] = ()
    forbidding: tuple[Rule, ...] = ()
    ignored: frozenset[str] = frozenset()

    def meant(self, text: str) -> dict[Meaning, Rule]:
        """The meanings that rules find in any sentence of a turn, each with the first rule that does."""
        found: dict[Meaning, Rule] = {}
        for words in self._sentences(text):
            for rule in self.meaning:
                if rule.meaning not in found and rule.found_in(words):
                    found[rule.meaning] = rule
        return found

    def forbidding_rule(self, meaning: Meaning, text: str) -> Rule | None:
        """The rule that keeps ``text``, a turn or a part of it, from having ``meaning`` by its likeness to examples."""
        rules = [rule for rule in self.forbidding if rule.meaning is meaning]
        if not rules:
            return None
        words = plain_words(text, self.ignored)
        return next((rule for rule in rules if rule.found_in(words)), None)

    def _sentences(self, text: str) -> Iterator[str]:
        for sentence in _SENTENCE_END.split(text.replace("...", " ")):
            if words := plain_words(sentence, self.ignored):
                yield words

    def __add__(self, other: RuleSet) -> RuleSet:
        return RuleSet(
            (*self.meaning, *other.meaning), (*self.forbidding, *other.forbidding), self.ignored | other.ignored
        )


def fold(text: str) -> str:
    """Without accents, vowel signs and ligatures; curly apostrophes straight. Keeps case."""
    if text.isascii():
        return text.replace("`", "'")
    apart = unicodedata.normalize("NFKD", text.translate(_ALIKE))
    return "".join(sign for sign in apart if not unicodedata.combining(sign)).translate(_ALIKE)


def plain_words(text: str, ignored: frozenset[str] = frozenset()) -> str:
    """The folded words of ``text`` in lower case with one space between them, without those in ``ignored``."""
    words = _LOOSE_APOSTROPHE.sub(" ", _NO_WORD.sub(" ", fold(text).casefold())).split()
    return " ".join(word for word in words if word not in ignored) or " ".join(words)


def rule_problems(rules: Iterable[RuleEntry], word_lists: Mapping[str, str]) -> Iterator[tuple[Place, str]]:
    """What is wrong with a file's rules, each with its place in the file."""
    for list_name, words in word_lists.items():
        if message := _mistake(words, {}):
            yield ("words", list_name), message
    names: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.name in names:
            yield ("rules", index, "name"), f"another rule is called {rule.name} already"
        names.add(rule.name)
        if (rule.means is None) == (rule.never is None):
            yield ("rules", index), "a rule has either 'means' or 'never'"
        if Meaning.NONE in (rule.means, rule.never):
            yield ("rules", index), "a rule is about a class, 'none' is the lack of one"
        for key, patterns in (("patterns", rule.patterns), ("unless", rule.unless)):
            for at, pattern in enumerate(patterns):
                if message := _mistake(pattern, word_lists):
                    yield ("rules", index, key, at), message


def compile_rules(
    rules: Iterable[RuleEntry], *, word_lists: Mapping[str, str], ignored: Iterable[str], prefix: str
) -> RuleSet:
    """The rules of a file that has no ``rule_problems``; their names get the ``prefix``."""
    meaning: list[Rule] = []
    forbidding: list[Rule] = []
    for entry in rules:
        kind, into = (entry.means, meaning) if entry.means is not None else (entry.never, forbidding)
        if kind is None:
            raise ValueError(f"rule {entry.name} has no meaning")
        pattern = _joined(entry.patterns, word_lists)
        unless = _joined(entry.unless, word_lists) if entry.unless else None
        into.append(Rule(f"{prefix}.{entry.name}", kind, pattern, unless))
    return RuleSet(tuple(meaning), tuple(forbidding), frozenset(plain_words(word) for word in ignored))


def _joined(patterns: Iterable[str], word_lists: Mapping[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{_written_out(pattern, word_lists)})" for pattern in patterns))


def _written_out(pattern: str, word_lists: Mapping[str, str]) -> str:
    """With its word lists put in; raises ``KeyError`` for an unknown one."""
    return fold(_WORD_LIST.sub(lambda found: f"(?:{word_lists[found[1]]})", pattern))


def _mistake(pattern: str, word_lists: Mapping[str, str]) -> str:
    """What is wrong with an expression; empty if nothing is."""
    if _CAPITAL.search(pattern):
        return "write expressions in lower case: a caller's words are compared so"
    try:
        found = re.compile(_written_out(pattern, word_lists))
    except KeyError as error:
        return f"there is no word list called {error.args[0]}"
    except re.error as error:
        return f"not a regular expression: {error}"
    return "an expression that is found in nothing is found in everything" if found.search("") else ""
