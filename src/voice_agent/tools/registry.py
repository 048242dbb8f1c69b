"""The tools a deployment has: looked up by name, shown to the language model. Most are registered at the start; those of
an MCP server come and go with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from voice_agent.errors import ConfigError
from voice_agent.models import ToolScope
from voice_agent.providers.llm.base import ToolDefinition
from voice_agent.tools.base import Tool

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

#: What hosted language models accept as a function name (OpenAI: ``^[a-zA-Z0-9_-]{1,64}$``).
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: No argument may say who is asking: a model that is talked into it would look up another caller. Compared in lower case
#: without "_" and "-". The caller is ``ToolContext.caller_id``, whatever a far side calls it.
CALLER_NAMES = frozenset(
    """
    caller callerid callernumber onbehalfof customer customerid customernumber client clientid user userid username
    accountholder accountholderid verified isverified identity authenticated isauthenticated idempotencykey
    """.split()
)


class ToolRegistry:
    """Holds tools and their compiled argument schemas (JSON Schema 2020-12)."""

    def __init__(self, *tools: Tool) -> None:
        self._tools: dict[str, Tool] = {}
        self._validators: dict[str, Validator] = {}
        for tool in tools:
            self.register(tool)

    def register(self, tool: Tool) -> None:
        """Adds a tool. Raises ``ConfigError`` for a bad or taken name, a bad schema, timeout or fallback, and for arguments
        that would name a caller. A schema that does not say so itself is closed to unknown properties."""
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing import Registry

        if not _NAME.fullmatch(tool.name):
            raise ConfigError(f"the tool name {tool.name!r} is not valid: use 1 to 64 of A-Z, a-z, 0-9, '_' and '-'.")
        if tool.name in self._tools:
            raise ConfigError(f"there are two tools named {tool.name!r}: rename one of them.")
        if tool.timeout_s <= 0:
            raise ConfigError(f"the tool {tool.name!r} has the timeout {tool.timeout_s!r} s: it must be above 0.")
        if tool.at_once < 1:
            raise ConfigError(f"the tool {tool.name!r} may run {tool.at_once!r} times at once: it must be 1 or more.")
        if not tool.fallback.strip():
            raise ConfigError(f"the tool {tool.name!r} has no fallback sentence to say when it fails.")
        try:
            Draft202012Validator.check_schema(tool.parameters)
        except SchemaError as error:
            raise ConfigError(f"the tool {tool.name!r} has a bad parameter schema: {error.message}") from None
        if tool.parameters.get("type") != "object":
            raise ConfigError(f"the tool {tool.name!r} must describe its parameters as a JSON schema of type 'object'.")
        for name in argument_names(tool.parameters):
            if re.sub(r"[_-]", "", name).lower() in CALLER_NAMES:
                raise ConfigError(
                    f"the tool {tool.name!r} has the argument {name!r}: who is asking is never an argument, "
                    "it comes from the call."
                )
        parameters = {"additionalProperties": False, **tool.parameters}
        self._tools[tool.name] = replace(tool, parameters=parameters)
        # With a registry of its own a validator fetches no reference from anywhere.
        self._validators[tool.name] = Draft202012Validator(parameters, registry=Registry())

    def remove(self, name: str) -> None:
        """Takes a tool away; calls of it that are under way end as they would have."""
        self._tools.pop(name, None)
        self._validators.pop(name, None)

    def find(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def offered(self, scope: ToolScope) -> tuple[Tool, ...]:
        """The tools that the language model of an agent may call."""
        return tuple(tool for tool in self if tool.model_callable and tool.name in scope)

    def definitions(self, scope: ToolScope) -> tuple[ToolDefinition, ...]:
        """``offered``, as a model sees them."""
        return tuple(ToolDefinition(tool.name, tool.description, tool.parameters) for tool in self.offered(scope))

    def problems(self, name: str, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """What is wrong with arguments of a registered tool, in words a language model can act on; empty if nothing.

        The offending values are never quoted, so that the text may be logged.
        """
        from referencing.exceptions import Unresolvable

        try:
            return tuple(_in_words(error) for error in self._validators[name].iter_errors(arguments))
        except Unresolvable:
            return ("arguments: the tool's schema cannot be used; do not call this tool",)


def argument_names(schema: Any) -> Iterator[str]:
    """The names of all properties anywhere in a JSON schema."""
    if isinstance(schema, Mapping):
        properties = schema.get("properties")
        if isinstance(properties, Mapping):
            yield from properties
        for part in schema.values():
            yield from argument_names(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            yield from argument_names(part)


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
