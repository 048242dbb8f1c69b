"""The sentences of the built-in language model: templates with slots, and finding out which one was spoken.

Grammar of a template::

    text                 spoken as it stands
    {order.carrier}      a value; the variant cannot be used where it is missing
    {order.total|money}  a value through filters, from left to right
    {each order_brief}   that template once for every order in question, joined as a list
    {each parcel in result.parcels}  that template once for every entry of a list, which it calls {each}
    {?offer_human}       one of the variants of that question
    [, with {carrier}]   an optional part: dropped where a value in it is missing

A name has several variants; which one is used depends on the turn alone, so the same dialogue gives the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]
Filter = Callable[[Any], str]

_TOKEN = re.compile(r"\{([^{}]*)\}|([\[\]])")
_CUT_WORDS = 3  # a question cut after fewer words could be any question


class TemplateError(ValueError):
    """A template breaks the grammar."""


class _MissingValueError(Exception):
    """A slot has no value here."""


@dataclass(frozen=True, slots=True)
class Slot:
    path: str
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Each:
    template: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    question: str


@dataclass(frozen=True, slots=True)
class _Optional:
    parts: tuple[_Part, ...]


_Part = str | Slot | Each | Ask | _Optional


@dataclass(frozen=True, slots=True)
class Template:
    """One parsed variant."""

    source: str
    parts: tuple[_Part, ...]

    def mentions(self) -> Iterator[Slot | Each | Ask]:
        """Every slot, wherever it stands."""
        yield from _mentions(self.parts)


def _mentions(parts: Sequence[_Part]) -> Iterator[Slot | Each | Ask]:
    for part in parts:
        if isinstance(part, _Optional):
            yield from _mentions(part.parts)
        elif not isinstance(part, str):
            yield part


def parse(source: str) -> Template:
    """Raises ``TemplateError`` saying what is wrong."""
    stack: list[list[_Part]] = [[]]
    position = 0
    for token in _TOKEN.finditer(source):
        _add_text(stack[-1], source[position : token.start()])
        position = token.end()
        if token[2] == "[":
            if len(stack) > 1:
                raise TemplateError("optional parts [ ] cannot stand inside each other")
            stack.append([])
        elif token[2] == "]":
            if len(stack) == 1:
                raise TemplateError("] without [")
            stack[-2].append(_Optional(tuple(stack.pop())))
        else:
            stack[-1].append(_slot(token[1].strip()))
    _add_text(stack[-1], source[position:])
    if len(stack) > 1:
        raise TemplateError("[ without ]")
    return Template(source, tuple(stack[0]))


def _add_text(parts: list[_Part], text: str) -> None:
    if "{" in text or "}" in text:
        raise TemplateError("{ and } must come in pairs")
    if text:
        parts.append(text)


def _slot(inside: str) -> _Part:
    if inside.startswith("?"):
        return Ask(inside[1:].strip())
    if inside.startswith("each "):
        template, _, path = inside[5:].partition(" in ")
        return Each(template.strip(), path.strip())
    path, *filters = (part.strip() for part in inside.split("|"))
    if not path:
        raise TemplateError("an empty slot {}")
    return Slot(path, tuple(filters))


class Phrasebook:
    """All templates and questions of one brain. ``filters`` are the functions that slots may name.

    The texts must have been checked by ``check``.
    """

    def __init__(
        self,
        templates: Mapping[str, Sequence[str]],
        questions: Mapping[str, Sequence[str]],
        filters: Mapping[str, Filter],
    ) -> None:
        self._templates = {name: [parse(text) for text in texts] for name, texts in templates.items()}
        self._questions = {name: [parse(text) for text in texts] for name, texts in questions.items()}
        self._filters = filters
        self._asked = {
            name: [self._pattern(variant.parts) for variant in variants] for name, variants in self._questions.items()
        }
        self._spoken = {
            name: [re.compile(self._pattern(variant.parts), re.IGNORECASE) for variant in variants]
            for name, variants in self._templates.items()
        }

    def has(self, name: str) -> bool:
        return name in self._templates

    def render(self, name: str, values: Values, turn: int) -> str:
        """A variant whose values are all there, "" if there is none. Of several, those that tell the most values take
        turns: "there is no date yet" only stands in for "it arrives on Tuesday" where there is no date."""
        usable: list[tuple[int, str]] = []
        for variant in self._templates[name]:
            try:
                text = _tidy(self._fill(variant.parts, values, turn))
            except _MissingValueError:
                continue
            usable.append((sum(1 for part in variant.parts if isinstance(part, Slot)), text))
        most = max((told for told, _ in usable), default=0)
        best = [text for told, text in usable if told == most]
        return best[turn % len(best)] if best else ""

    def _fill(self, parts: Sequence[_Part], values: Values, turn: int) -> str:
        return "".join(self._one(part, values, turn) for part in parts)

    def _one(self, part: _Part, values: Values, turn: int) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, _Optional):
            try:
                return self._fill(part.parts, values, turn)
            except _MissingValueError:
                return ""
        if isinstance(part, Ask):
            variants = self._questions[part.question]
            return self._fill(variants[turn % len(variants)].parts, values, turn)
        if isinstance(part, Each):
            name, path = ("each", part.path) if part.path else ("order", "orders")
            entries: Sequence[Any] = look_up(values, path) or ()
            return join([self.render(part.template, {**values, name: entry}, turn) for entry in entries])
        value = look_up(values, part.path)
        if value in (None, "", [], ()):
            raise _MissingValueError(part.path)
        for name in part.filters:
            value = self._filters[name](value)
        if value == "":
            raise _MissingValueError(part.path)
        return str(value)

    def question_in(self, text: str, *, cut: bool) -> str:
        """The name of the last of our questions in ``text``; of a ``cut`` text, also one that had only begun."""
        found, at = "", -1
        for name, patterns in self._asked.items():
            for pattern in patterns:
                for match in re.finditer(pattern, text, re.IGNORECASE):
                    if match.end() > at:
                        found, at = name, match.end()
        if found or not cut:
            return found
        tail = re.split(r"(?<=[.!?])\s+", text.strip())[-1].lower().rstrip(" .…-")
        if len(tail.split()) < _CUT_WORDS:
            return ""
        for name, variants in self._questions.items():
            if any(variant.source.lower().startswith(tail) for variant in variants):
                return name
        return ""

    def spoken_as(self, name: str, text: str) -> re.Match[str] | None:
        """How ``text`` fits a variant of template ``name``; its slots are the match's groups."""
        return next((match for pattern in self._spoken[name] if (match := pattern.fullmatch(text.strip()))), None)

    def _pattern(self, parts: Sequence[_Part]) -> str:
        pieces: list[str] = []
        for part in parts:
            if isinstance(part, str):
                pieces.append(r"\s+".join(re.escape(word) for word in re.split(r"\s+", part)))
            elif isinstance(part, _Optional):
                pieces.append(f"(?:{self._pattern(part.parts)})?")
            elif isinstance(part, Ask):
                inner = (self._pattern(variant.parts) for variant in self._questions[part.question])
                pieces.append(f"(?:{'|'.join(inner)})")
            else:
                pieces.append("(.+?)")
        return "".join(pieces)


def look_up(values: Values, path: str) -> Any:
    """The value at a dotted path; ``None`` where there is none."""
    value: Any = values
    for key in path.split("."):
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def join(parts: Sequence[str], last: str = "and") -> str:
    """ "a", "a and b", "a, b, and c"; parts that hold commas are joined by semicolons, so that the ear can tell."""
    if len(parts) < 2:
        return "".join(parts)
    comma = ";" if any("," in part for part in parts) else ","
    if len(parts) == 2:
        return f"{parts[0]}{comma if comma == ';' else ''} {last} {parts[1]}"
    return f"{f'{comma} '.join(parts[:-1])}{comma} {last} {parts[-1]}"


def _tidy(text: str) -> str:
    return re.sub(r"\s+([,.;!?])", r"\1", " ".join(text.split()))
