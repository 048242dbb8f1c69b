"""Reads the arguments a language model wrote: one JSON object of modest size, or words it can act on.

What a model writes is input of an attacker's choosing (callers and documents speak to it), so everything is bounded before
any schema looks at it: length, nesting, and JSON that two readers could understand differently (RFC 8259 §4 leaves it
open which of two equal names counts; NaN is no JSON).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

#: More than any spoken request needs; a model that writes more has lost its way.
ARGUMENTS_MAX_CHARS = 16_384

#: Levels of objects and lists, the outermost one included.
ARGUMENTS_MAX_DEPTH = 16


class BadArgumentsError(Exception):
    """The text says what is wrong, for the model, and quotes nothing of what it wrote."""


def parse_arguments(text: str) -> Mapping[str, Any]:
    """The arguments; empty text stands for none. Raises ``BadArgumentsError``."""
    if len(text) > ARGUMENTS_MAX_CHARS:
        raise BadArgumentsError(f"The arguments are too long: at most {ARGUMENTS_MAX_CHARS} characters.")
    if not text.strip():
        return {}
    try:
        # Surrogates (possible in a Python string, not in JSON) make orjson raise the same error.
        arguments = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadArgumentsError("The arguments are not valid JSON. Send one JSON object.") from None
    if not isinstance(arguments, dict):
        raise BadArgumentsError("The arguments must be one JSON object.")
    if depth_exceeds(arguments, ARGUMENTS_MAX_DEPTH):
        raise BadArgumentsError(f"The arguments are nested too deeply: at most {ARGUMENTS_MAX_DEPTH} levels.")
    # orjson keeps the last of two equal names, so the names are counted by a second reading; the depth is bounded by now.
    json.loads(text, object_pairs_hook=_once, parse_int=str, parse_float=str)
    return arguments


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) < len(pairs):
        raise BadArgumentsError("A property stands twice in the arguments. Send each one once.")


def depth_exceeds(value: Any, levels: int) -> bool:
    """Whether containers are nested more than that many levels deep; needs no stack of its own."""
    at_this_level = [value]
    for _ in range(levels):
        at_this_level = [inner for outer in at_this_level for inner in _inside(outer)]
        if not at_this_level:
            return False
    return any(isinstance(inner, dict | list) for inner in at_this_level)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
