"""Python functions as tools: the decorator ``@tool``, and where decorated functions are found.

The signature is the schema: each parameter's type (anything pydantic reads, ``Annotated`` limits included) and its line in
the docstring's ``Args:`` become a property, a parameter without a default is required. A parameter annotated as
``ToolContext`` is no argument: it tells who is asking. A coroutine function runs on the event loop and must not block it;
any other runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from voice_agent.errors import BugError, ConfigError, ToolError
from voice_agent.tools.base import IdentityLevel, ReadBack, Summary, Tool, ToolAnswer, ToolContext, ToolHandler

ENTRY_POINTS = "voice_agent.tools"

_DECLARATION = "voice_agent_tool"
_ARGUMENT_LINE = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")

F = TypeVar("F", bound=Callable[..., Any])


def tool(
    *,
    fallback: str,
    name: str = "",
    description: str = "",
    writes: bool = True,
    identity: IdentityLevel = IdentityLevel.VERIFIED,
    offered: bool = True,
    timeout_s: float = 2.0,
    at_once: int = 16,
    read_back: ReadBack | None = None,
    summary: Summary | None = None,
    unsure: str = "",
    keyed: bool = False,
    tags: Iterable[str] = (),
) -> Callable[[F], F]:
    """Declares a function as a tool; the function itself stays as it is. ``name`` and ``description`` are by default the
    function's name and what its docstring says before ``Args:``. It gives a ``ToolAnswer``, a mapping (its data), or
    nothing. Unless told otherwise it changes something, and for a verified caller only. Raises ``ConfigError``."""

    def declare(function: F) -> F:
        text, told = _docstring(function)
        signature = _Signature.of(function, told)
        if not (description or text):
            raise _mistake(function, "has no docstring: the language model must know what the tool is for")
        declaration = Tool(
            name=name or function.__name__,
            description=description or text,
            parameters=signature.schema(),
            handler=_handler(function, signature, at_once),
            fallback=fallback,
            unsure=unsure,
            keyed=keyed,
            timeout_s=timeout_s,
            at_once=at_once,
            read_only=not writes,
            identity=identity,
            model_callable=offered,
            read_back=read_back,
            summary=summary,
            tags=frozenset(tags),
        )
        setattr(function, _DECLARATION, declaration)
        return function

    return declare


def tools_of_modules(names: Sequence[str]) -> Iterator[Tool]:
    """The tools declared in these modules. Raises ``ConfigError`` for a module that cannot be imported or declares none."""
    for name in names:
        try:
            module = importlib.import_module(name)
        except ConfigError:
            raise
        except Exception as error:  # a module may raise anything while it is imported
            raise ConfigError(f"TOOL_MODULES: cannot import {name!r}: {type(error).__name__}: {error}") from error
        found = tuple(declared(module))
        if not found:
            raise ConfigError(f"TOOL_MODULES: {name!r} declares no tool: decorate functions with @tool(...).")
        yield from found


def tools_of_entry_points() -> Iterator[Tool]:
    """The tools that installed packages bring: each entry point of the group ``voice_agent.tools`` names a module, a
    decorated function, a ``Tool``, or a sequence of those. Raises ``ConfigError``."""
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        try:
            target = point.load()
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"the entry point {point.name!r} = {point.value!r} of {ENTRY_POINTS} cannot be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
        found = tuple(declared(target))
        if not found:
            raise ConfigError(f"the entry point {point.name!r} = {point.value!r} of {ENTRY_POINTS} holds no tool.")
        yield from found


def declared(target: Any) -> Iterator[Tool]:
    """The tools in a module, a sequence, or a single thing; each once."""
    if isinstance(target, ModuleType):
        things: Iterable[Any] = vars(target).values()
    elif isinstance(target, list | tuple):
        things = target
    else:
        things = (target,)
    found: dict[int, Tool] = {}
    for thing in things:
        declaration = thing if isinstance(thing, Tool) else getattr(thing, _DECLARATION, None)
        if isinstance(declaration, Tool):
            found[id(declaration)] = declaration
    yield from found.values()


@dataclass(frozen=True, slots=True)
class _Signature:
    """What a function takes: readers of its arguments by name, and the parameter that takes the context, if one does."""

    readers: Mapping[str, TypeAdapter[Any]]
    required: tuple[str, ...]
    told: Mapping[str, str]
    context: str

    @classmethod
    def of(cls, function: Callable[..., Any], told: Mapping[str, str]) -> _Signature:
        try:
            hints = get_type_hints(function, include_extras=True)
        except NameError as error:
            raise _mistake(function, f"has an annotation that cannot be read: {error}") from None
        readers: dict[str, TypeAdapter[Any]] = {}
        required: list[str] = []
        context = ""
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise _mistake(function, f"has the parameter {name!r}: a tool's parameters are passed by name")
            if name not in hints:
                raise _mistake(function, f"has the parameter {name!r} without a type")
            if hints[name] is ToolContext:
                context = name
                continue
            try:
                readers[name] = TypeAdapter(hints[name])
            except PydanticUserError as error:
                raise _mistake(function, f"has the parameter {name!r} of a type that is no JSON: {error}") from None
            if parameter.default is parameter.empty:
                required.append(name)
        return cls(readers, tuple(required), told, context)

    def schema(self) -> Mapping[str, Any]:
        properties: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        for name, reader in self.readers.items():
            schema = reader.json_schema()
            definitions.update(schema.pop("$defs", {}))
            if name in self.told:
                schema.setdefault("description", self.told[name])
            properties[name] = schema
        return {
            "type": "object",
            "properties": properties,
            "required": list(self.required),
            "additionalProperties": False,
            **({"$defs": definitions} if definitions else {}),
        }

    def read(self, arguments: Mapping[str, Any], context: ToolContext) -> dict[str, Any]:
        """What the function is called with. Raises ``ValidationError`` where a schema says less than the type does."""
        read = {name: self.readers[name].validate_python(value) for name, value in arguments.items()}
        return {**read, self.context: context} if self.context else read


def _handler(function: Callable[..., Any], signature: _Signature, at_once: int) -> ToolHandler:
    threads = _Threads(function.__name__, at_once)

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        try:
            given = signature.read(arguments, context)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return ToolAnswer({"error": f"An argument is not usable: {first['msg']}"}, found=False, reason="bad_value")
        if inspect.iscoroutinefunction(function):
            answer = await function(**given)
        else:
            answer = await threads.run(partial(function, **given))
        if answer is None or isinstance(answer, Mapping):
            return ToolAnswer(answer or {})
        if not isinstance(answer, ToolAnswer):
            raise BugError(f"the tool function {function.__name__} gave {type(answer).__name__}: give a mapping")
        return answer

    return handle


class _Threads:
    """Runs plain functions, each in a daemon thread of its own. A thread cannot be stopped: one that hangs keeps its place
    until it ends, so that a broken function can take ``limit`` threads and no more, and never holds up the exit."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._running = 0

    async def run(self, work: Callable[[], Any]) -> Any:
        """What ``work`` gives or raises. Raises ``ToolError`` if all threads are taken. Cancelling ends the waiting only."""
        if self._running >= self._limit:
            raise ToolError(f"all {self._limit} threads of the tool function {self._name} hang", undone=True)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        variables = contextvars.copy_context()

        def ended(outcome: Callable[[], None]) -> None:
            self._running -= 1
            if not future.done():
                outcome()

        def thread() -> None:
            try:
                result = variables.run(work)
            except StopIteration:  # no future takes one
                outcome = partial(future.set_exception, ToolError(f"{self._name} raised StopIteration"))
            except BaseException as error:
                outcome = partial(future.set_exception, error)
            else:
                outcome = partial(future.set_result, result)
            with suppress(RuntimeError):  # the loop has been closed meanwhile: nobody waits
                loop.call_soon_threadsafe(ended, outcome)

        self._running += 1
        threading.Thread(target=thread, name=f"tool-{self._name}", daemon=True).start()
        return await future


def _docstring(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The description, as one line, and what ``Args:`` says of each parameter."""
    head, _, rest = (inspect.getdoc(function) or "").partition("\nArgs:\n")
    told: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if line and not line.startswith(" "):
            break  # the next section
        if line.startswith("     ") and name:
            told[name] = f"{told[name]} {line.strip()}"
        elif match := _ARGUMENT_LINE.match(line.strip()):
            name = match[1]
            told[name] = match[2]
    return " ".join(head.split()), told


def _mistake(function: Callable[..., Any], what: str) -> ConfigError:
    code = getattr(function, "__code__", None)
    where = f"{code.co_filename}:{code.co_firstlineno}: " if code else ""
    return ConfigError(f"{where}the tool function {getattr(function, '__name__', '?')!r} {what}.")
