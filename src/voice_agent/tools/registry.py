"""The tools a deployment has: registered once at the start, looked up by name, shown to the language model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from voice_agent.errors import ConfigError
from voice_agent.providers.llm.base import ToolDefinition
from voice_agent.tools.base import Tool

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

#: What hosted language models accept as a function name (OpenAI: ``^[a-zA-Z0-9_-]{1,64}$``).
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ToolRegistry:
    """Holds tools and their compiled argument schemas (JSON Schema 2020-12)."""

    def __init__(self, *tools: Tool) -> None:
        self._tools: dict[str, Tool] = {}
        self._validators: dict[str, Validator] = {}
        for tool in tools:
            self.register(tool)

    def register(self, tool: Tool) -> None:
        """Adds a tool. Raises ``ConfigError`` for a bad or taken name, a bad schema, timeout or fallback."""
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

        if not _NAME.fullmatch(tool.name):
            raise ConfigError(f"the tool name {tool.name!r} is not valid: use 1 to 64 of A-Z, a-z, 0-9, '_' and '-'.")
        if tool.name in self._tools:
            raise ConfigError(f"there are two tools named {tool.name!r}: rename one of them.")
        if tool.timeout_s <= 0:
            raise ConfigError(f"the tool {tool.name!r} has the timeout {tool.timeout_s!r} s: it must be above 0.")
        if not tool.fallback.strip():
            raise ConfigError(f"the tool {tool.name!r} has no fallback sentence to say when it fails.")
        try:
            Draft202012Validator.check_schema(tool.parameters)
        except SchemaError as error:
            raise ConfigError(f"the tool {tool.name!r} has a bad parameter schema: {error.message}") from None
        if tool.parameters.get("type") != "object":
            raise ConfigError(f"the tool {tool.name!r} must describe its parameters as a JSON schema of type 'object'.")
        self._tools[tool.name] = tool
        self._validators[tool.name] = Draft202012Validator(tool.parameters)

    def find(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def definitions(self) -> tuple[ToolDefinition, ...]:
        """The tools a language model may call, as it sees them."""
        return tuple(
            ToolDefinition(tool.name, tool.description, tool.parameters) for tool in self if tool.model_callable
        )

    def problems(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """What is wrong with arguments of a registered tool, in words a language model can act on; empty if nothing.

        The offending values are never quoted, so that the text may be logged.
        """
        return tuple(_in_words(error) for error in self._validators[name].iter_errors(arguments))


def _in_words(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "arguments"
    rule, expected = error.validator, error.validator_value
    if rule == "required":
        missing = [name for name in expected if name not in error.instance]
        return f"{where}: missing {', '.join(missing)}"
    if rule == "additionalProperties":
        allowed = ", ".join(error.schema.get("properties", {})) or "none"
        return f"{where}: unknown property; allowed: {allowed}"
    return f"{where}: must satisfy {rule} {expected!r}"
