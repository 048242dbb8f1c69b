"""Makes a stranger's JSON schema safe to use: what it may say is bounded, and nothing in it can take long or fetch anything.

Left out are regular expressions (one can be written that takes for ever), texts beyond a length, and limits that are none
(``"maxLength": 0.5``); references within the document are written out, those to others refused. What the far side checks
beyond that it checks itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any

_MAX_NODES = 400
_MAX_DEPTH = 12
_MAX_CHOICES = 200
_TEXT_MAX_CHARS = 300
_NAME = re.compile(r"[\w.\-]{1,64}")
_TYPES = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
# Non-negative integers (JSON Schema 2020-12, Validation, 6.3 to 6.5); 2.0 is one.
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class ForeignSchemaError(ValueError):
    """A schema cannot be used; the text says why."""


def tame(schema: Any) -> dict[str, Any]:
    """The usable part of a tool's input schema: an object, closed to properties that it does not name. Raises
    ``ForeignSchemaError`` where it is none, or more than a spoken request can need."""
    if not isinstance(schema, Mapping) or schema.get("type") != "object":
        raise ForeignSchemaError("its input schema is not that of an object")
    tamed = _Tamer(schema).node(schema, 0)
    return {"properties": {}, **tamed, "additionalProperties": False}


def plain_text(text: object, most_chars: int) -> str:
    """A stranger's text on one line, cut."""
    return _CONTROL.sub(" ", text)[:most_chars].strip() if isinstance(text, str) else ""


def _is_number(value: object) -> bool:
    """JSON's numbers are finite; Python's reader takes ``Infinity`` and ``NaN`` too."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and isfinite(value))


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


class _Tamer:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes = 0

    def node(self, schema: Any, depth: int) -> dict[str, Any]:
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise ForeignSchemaError("its input schema is too large, too deep, or refers to itself")
        if not isinstance(schema, Mapping):
            return {}
        if "$ref" in schema:
            return self.node(self._referred(schema["$ref"]), depth + 1)
        tamed: dict[str, Any] = {}
        kinds = schema.get("type")
        if isinstance(kinds, str) and kinds in _TYPES:
            tamed["type"] = kinds
        elif isinstance(kinds, list) and kinds and all(isinstance(kind, str) and kind in _TYPES for kind in kinds):
            tamed["type"] = list(dict.fromkeys(kinds))
        if text := plain_text(schema.get("description"), _TEXT_MAX_CHARS):
            tamed["description"] = text
        tamed |= {name: schema[name] for name in _BOUNDS if _is_number(schema.get(name))}
        tamed |= {name: int(schema[name]) for name in _COUNTS if _is_count(schema.get(name))}
        self._choices(schema, tamed)
        self._inside(schema, tamed, depth)
        return tamed

    def _choices(self, schema: Mapping[str, Any], tamed: dict[str, Any]) -> None:
        choices = [schema["const"]] if "const" in schema else schema.get("enum")
        if not isinstance(choices, list) or not choices:
            return
        if len(choices) > _MAX_CHOICES or any(isinstance(c, dict | list) or len(str(c)) > 100 for c in choices):
            raise ForeignSchemaError("an argument has too many or too long choices")
        tamed["enum"] = choices

    def _inside(self, schema: Mapping[str, Any], tamed: dict[str, Any], depth: int) -> None:
        properties = schema.get("properties")
        if isinstance(properties, Mapping):
            if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in properties):
                raise ForeignSchemaError("an argument's name is not usable")
            tamed["properties"] = {name: self.node(part, depth + 1) for name, part in properties.items()}
            required = schema.get("required")
            if isinstance(required, list):
                tamed["required"] = [name for name in properties if name in required]
            tamed["additionalProperties"] = False
        if isinstance(schema.get("items"), Mapping):
            tamed["items"] = self.node(schema["items"], depth + 1)
        for name in ("anyOf", "oneOf", "allOf"):
            parts = schema.get(name)
            if isinstance(parts, list) and parts:
                tamed[name] = [self.node(part, depth + 1) for part in parts]

    def _referred(self, reference: object) -> Any:
        match = re.fullmatch(r"#/(\$defs|definitions)/([^/~%]+)", reference) if isinstance(reference, str) else None
        found = self._root.get(match[1]) if match else None
        if match is None or not isinstance(found, Mapping) or match[2] not in found:
            raise ForeignSchemaError("its input schema refers to something outside of itself")
        return found[match[2]]
