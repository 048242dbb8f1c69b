from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from voice_agent.tools.sources.foreign_schema import ForeignSchemaError, plain_text, tame

_NAMES = st.sampled_from(
    "type properties required items enum const $ref $defs anyOf oneOf allOf not pattern patternProperties format minimum "
    "maxLength additionalProperties description a b object string".split()
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=25,
)


@settings(deadline=None)  # the validator reads its own schemas at first use
@given(st.dictionaries(_NAMES, JSON, max_size=6))
@example({"maxLength": 0.5})
@example({"maxLength": -1})
@example({"minLength": 2.5})
@example({"items": {"minItems": -0.5}})
def test_whatever_a_stranger_says_is_a_plain_schema_or_refused(schema: dict[str, Any]) -> None:
    try:
        tamed = tame({**schema, "type": "object"})
    except ForeignSchemaError:
        return
    Draft202012Validator.check_schema(tamed)
    assert tamed["additionalProperties"] is False
    assert not set(keywords(tamed)) & {"$ref", "$defs", "pattern", "patternProperties", "format", "not"}


def keywords(schema: Any) -> Iterator[str]:
    """The keywords in use; what an argument is called is none."""
    if isinstance(schema, list):
        for part in schema:
            yield from keywords(part)
    elif isinstance(schema, dict):
        for keyword, value in schema.items():
            yield keyword
            yield from keywords(list(value.values()) if keyword == "properties" else value)


def test_references_within_are_written_out_and_limits_kept() -> None:
    tamed = tame(
        {
            "type": "object",
            "properties": {
                "place": {"$ref": "#/$defs/Place"},
                "days": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None},
                "kind": {"const": "fast", "pattern": "(a+)+"},
            },
            "required": ["place", "nothing"],
            "$defs": {"Place": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 9}}}},
        }
    )
    assert tamed == {
        "type": "object",
        "properties": {
            "place": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 9}},
                "additionalProperties": False,
            },
            "days": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
            "kind": {"enum": ["fast"]},
        },
        "required": ["place"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize("value", [0.5, -1, -2.0, float("inf"), float("nan"), True, "9", None])
def test_a_length_that_is_none_is_left_out(value: object) -> None:
    tamed = tame({"type": "object", "properties": {"a": {"type": "string", "maxLength": value}}})
    assert tamed["properties"] == {"a": {"type": "string"}}


def test_whole_lengths_and_fractional_bounds_are_kept() -> None:
    limits = {"maxLength": 9.0, "minItems": 0, "minimum": -0.5, "maximum": 10**400}
    tamed = tame({"type": "object", "properties": {"a": limits, "b": {"minimum": float("inf")}}})
    assert tamed["properties"] == {"a": limits, "b": {}}
    Draft202012Validator.check_schema(tamed)


def doubling(levels: int) -> dict[str, Any]:
    """A schema of a few lines that is 2^levels nodes when it is written out."""
    names = [f"d{level}" for level in range(levels)]
    defs = {a: {"allOf": [{"$ref": f"#/$defs/{b}"}] * 2} for a, b in pairwise(names)}
    return {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {**defs, names[-1]: {}}}


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {"type": "string"},
        {},
        doubling(60),
        {"type": "object", "properties": {"a": {"$ref": "http://far.example/schema"}}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"$ref": "#/$defs/a"}}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"a\nb": {}}},
        {"type": "object", "properties": {f"a{number}": {} for number in range(500)}},
        {"type": "object", "properties": {"a": {"enum": list(range(500))}}},
        {"type": "object", "properties": {"a": {"enum": ["x" * 200]}}},
    ],
)
def test_what_cannot_be_used_is_refused(schema: Any) -> None:
    with pytest.raises(ForeignSchemaError):
        tame(schema)


def test_a_strangers_text_is_one_line_and_short() -> None:
    assert plain_text(" a\n\n\x07b\x9b" + "c" * 100, 10) == "a b ccccc"
    assert plain_text(7, 10) == ""
