"""The small languages of the tools file: texts with ``{fields}``, and paths into results.

A field is the name of an argument, or one of what the call itself says: ``{caller.id}``, ``{caller.locale}``, ``{call.id}``.
``{{`` and ``}}`` stand for braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from voice_agent.tools.base import ToolContext

#: What the call says of itself, which no argument can.
CALL_FIELDS: Mapping[str, Callable[[ToolContext], str]] = {
    "caller.id": lambda context: context.caller_id,
    "caller.locale": lambda context: context.locale,
    "call.id": lambda context: context.call_id,
}

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][\w.\-]*)\}|[{}]")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d{1,4}|\*)\]")
# A part of a path that would mean another place (RFC 3986 §5.2.4), also to a server that decodes it before it looks.
_DOTS = re.compile(r"(?:\.|%2e){1,2}", re.IGNORECASE)
_UNFIT_FOR_PATHS = re.compile(r"[/\\%\x00-\x1f\x7f]")


class UnfitValueError(ValueError):
    """A value cannot stand where the template has it; the text tells the field and never the value."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text in parts: literal ones at even places, names of fields at odd ones."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises ``ValueError`` for a brace that is neither doubled nor part of a field."""
        parts, literal, at = [], "", 0
        for token in _TOKEN.finditer(text):
            literal += text[at : token.start()]
            at = token.end()
            if token[1]:
                parts += [literal, token[1]]
                literal = ""
            elif len(token[0]) == 2:
                literal += token[0][0]
            else:
                raise ValueError(f"has a single brace in {text!r}: write {{name}}, or double it")
        return cls((*parts, literal + text[at:]))

    @property
    def fields(self) -> tuple[str, ...]:
        return self.parts[1::2]

    @property
    def is_one_field(self) -> bool:
        return len(self.parts) == 3 and not self.parts[0] and not self.parts[2]

    def fill(self, value_of: Callable[[str], str]) -> str:
        return "".join(value_of(part) if index % 2 else part for index, part in enumerate(self.parts))


def values_of(arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
    """Every field's value. No argument can hide what the call says: an argument's name has no dot in it."""
    return {**arguments, **{name: read(context) for name, read in CALL_FIELDS.items()}}


def as_text(value: Any) -> str:
    """A scalar as it stands in a URL or a sentence."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def fill_path(template: Template, values: Mapping[str, Any]) -> str:
    """A URL's path, each value one part of a segment: percent-encoded, and refused where that would not keep it one.

    Raises ``UnfitValueError``.
    """

    def encoded(field: str) -> str:
        text = as_text(values[field])
        if not text or _UNFIT_FOR_PATHS.search(text):
            raise UnfitValueError(f"{field}: must be plain text without slashes, percent or control characters")
        return quote(text, safe="")

    path = template.fill(encoded)
    if any(_DOTS.fullmatch(segment) for segment in path.split("/")):
        raise UnfitValueError("an argument must not be '.' or '..'")
    return path


def fill_json(node: Any, values: Mapping[str, Any]) -> Any:
    """A body with its fields filled in. A text that is one field becomes its value, whatever type that has; what asks for an
    argument that was left out is left out."""
    if isinstance(node, Mapping):
        filled = {key: fill_json(inner, values) for key, inner in node.items()}
        return {key: inner for key, inner in filled.items() if inner is not LEFT_OUT}
    if isinstance(node, tuple):
        return [filled for inner in node if (filled := fill_json(inner, values)) is not LEFT_OUT]
    if isinstance(node, Template):
        if any(field not in values for field in node.fields):
            return LEFT_OUT
        return values[node.parts[1]] if node.is_one_field else node.fill(lambda field: as_text(values[field]))
    return node


#: Stands for a value that is not sent.
LEFT_OUT = object()


@dataclass(frozen=True, slots=True)
class Path:
    """A way into JSON data: ``order.lines[0].name``; ``lines[*].name`` is the list of all names; ``.`` is the whole."""

    steps: tuple[str | int | None, ...]

    @classmethod
    def parse(cls, text: str) -> Path:
        """Raises ``ValueError``."""
        steps: list[str | int | None] = []
        at = 0
        if text == ".":
            return cls(())
        while at < len(text):
            if steps and text[at] == "." and at + 1 < len(text):
                at += 1
            match = _STEP.match(text, at)
            if match is None:
                raise ValueError(f"{text!r} is not a path such as order.lines[0].name or lines[*].name")
            steps.append(match[1] if match[1] else None if match[2] == "*" else int(match[2]))
            at = match.end()
        if not steps:
            raise ValueError("a path must not be empty; '.' is the whole result")
        return cls(tuple(steps))

    def read(self, data: Any) -> Any:
        """What is there, or ``None``."""
        for number, step in enumerate(self.steps):
            if step is None:
                rest = Path(self.steps[number + 1 :])
                return [rest.read(item) for item in data] if isinstance(data, list) else None
            if isinstance(step, int):
                data = data[step] if isinstance(data, list) and step < len(data) else None
            else:
                data = data.get(step) if isinstance(data, Mapping) else None
        return data


def summary_of(template: Template, data: Mapping[str, Any]) -> str:
    """A sentence about a result; empty where the result lacks what it tells."""
    paths = {field: Path.parse(field) for field in template.fields}
    values = {field: path.read(data) for field, path in paths.items()}
    if any(value is None or isinstance(value, list | dict) for value in values.values()):
        return ""
    return template.fill(lambda field: as_text(values[field]))
