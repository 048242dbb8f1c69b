from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from voice_agent.errors import ConfigError
from voice_agent.models import ALL_TOOLS
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext
from voice_agent.tools.registry import ToolRegistry


async def answer(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
    return ToolAnswer({})


TOOL = Tool(
    name="weather",
    description="Tells the weather.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 5}, "days": {"type": "integer"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    handler=answer,
    fallback="I can't see the weather.",
)


def test_a_model_sees_only_what_it_may_call() -> None:
    registry = ToolRegistry(TOOL, replace(TOOL, name="hidden", model_callable=False))
    assert [definition.name for definition in registry.definitions(ALL_TOOLS)] == ["weather"]
    assert registry.definitions(ALL_TOOLS)[0].parameters == TOOL.parameters
    assert registry.find("hidden") is not None
    assert registry.find("nothing") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "no spaces"}, "'no spaces'"),
        ({"name": ""}, "''"),
        ({"name": "x" * 65}, "1 to 64"),
        ({"timeout_s": 0}, "timeout"),
        ({"at_once": 0}, "at once"),
        ({"fallback": "  "}, "fallback"),
        ({"parameters": {"type": "object", "properties": {"city": {"type": "text"}}}}, "schema"),
        ({"parameters": {"type": "string"}}, "'object'"),
    ],
)
def test_a_bad_declaration_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ToolRegistry(replace(TOOL, **change))


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two tools named 'weather'"):
        ToolRegistry(TOOL, TOOL)


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        ({"city": "Oslo"}, ()),
        ({"city": "Oslo", "days": 3}, ()),
        ({}, ("arguments: missing city",)),
        ({"city": 7}, ("city: must satisfy type 'string'",)),
        ({"city": "Kristiansand"}, ("city: must satisfy maxLength 5",)),
        ({"city": "Oslo", "zip": "0150"}, ("arguments: unknown property; allowed: city, days",)),
    ],
)
def test_problems_are_told_without_the_values(arguments: dict[str, Any], problems: tuple[str, ...]) -> None:
    assert ToolRegistry(TOOL).problems("weather", arguments) == problems


@pytest.mark.parametrize("name", ["caller_id", "callerId", "customer-id", "verified", "USER_ID", "idempotency_key"])
def test_no_argument_may_say_who_is_asking_however_deep_it_lies(name: str) -> None:
    inner = {"type": "object", "properties": {name: {"type": "string"}}}
    for properties in (inner["properties"], {"who": inner}, {"who": {"type": "array", "items": {"anyOf": [inner]}}}):
        with pytest.raises(ConfigError, match=f"'weather' has the argument '{name}'"):
            ToolRegistry(replace(TOOL, parameters={"type": "object", "properties": properties}))


def test_schemas_are_closed_unless_they_say_otherwise() -> None:
    closed = ToolRegistry(replace(TOOL, parameters={"type": "object"}))
    assert closed.definitions(ALL_TOOLS)[0].parameters["additionalProperties"] is False
    assert closed.problems("weather", {"zip": 1}) == ("arguments: unknown property; allowed: none",)
    opened = ToolRegistry(replace(TOOL, parameters={"type": "object", "additionalProperties": True}))
    assert opened.problems("weather", {"zip": 1}) == ()


def test_a_schema_fetches_nothing() -> None:
    parameters = {"type": "object", "properties": {"city": {"$ref": "http://169.254.169.254/latest"}}}
    registry = ToolRegistry(replace(TOOL, parameters=parameters))
    assert registry.problems("weather", {"city": "Oslo"}) == (
        "arguments: the tool's schema cannot be used; do not call this tool",
    )


def test_a_tool_that_is_removed_is_gone() -> None:
    registry = ToolRegistry(TOOL)
    registry.remove("weather")
    registry.remove("weather")
    assert registry.find("weather") is None
    assert registry.definitions(ALL_TOOLS) == ()
    registry.register(TOOL)
    assert registry.find("weather") is not None
