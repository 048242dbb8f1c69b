"""The tools file (``TOOLS_FILE``): which hosts tools may reach, HTTP endpoints as tools, MCP servers.

docs/tools.md describes it to the people who write it. Loading finds every mistake that can be found without asking anybody,
and tells it in one line with file and line number. What is not said is the careful choice: a tool changes something, is for
verified callers, and one of an MCP server is not offered to the language model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from voice_agent.conversation.locales import language_of
from voice_agent.providers.data_file import Entry, load_data_file
from voice_agent.tools.base import IdentityLevel, ReadBack
from voice_agent.tools.sources.egress import Reach, host_of, listed_host
from voice_agent.tools.sources.templates import CALL_FIELDS, Path, Template

Place = tuple[str | int, ...]
Problems = Iterator[tuple[Place, str]]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: Set by the program itself, or by what carries the request: a file that sets them would change what a request means.
_OWN_HEADERS = frozenset(
    """
    host content-length content-type transfer-encoding connection accept-encoding idempotency-key te trailer upgrade
    """.split()
)
_TEXT_MAX_CHARS = 200
_UNPROVEN = "must be verified: it tells what belongs to {caller.id}, and anybody can call with another's number"


def _template(text: object) -> object:
    return Template.parse(text) if isinstance(text, str) else text


def _path(text: object) -> object:
    return Path.parse(text) if isinstance(text, str) else text


def _tool_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("a tool's name has 1 to 64 of A-Z, a-z, 0-9, '_' and '-'")
    return text


def _body(node: object) -> object:
    """Templates at the leaves. A leaf without a field that is a JSON number, true, false, null or a quoted text is that."""
    if isinstance(node, dict):
        return {key: _body(value) for key, value in node.items()}
    if isinstance(node, list):
        return tuple(_body(value) for value in node)
    if isinstance(node, str):
        if "{" not in node:
            try:
                return json.loads(node)
            except ValueError:
                pass
        return Template.parse(node)
    return node


TemplateText = Annotated[Template, BeforeValidator(_template)]
ResultPath = Annotated[Path, BeforeValidator(_path)]
ToolName = Annotated[str, AfterValidator(_tool_name)]
Texts = Mapping[str, TemplateText]


class Parameter(Entry):
    """One argument of a tool, in the few words a spoken request needs."""

    type: Literal["string", "integer", "number", "boolean"] = "string"
    description: str = Field("", max_length=500)
    required: bool = True
    choices: tuple[str, ...] = ()
    pattern: str = Field("", max_length=200)
    min_length: int = Field(1, ge=0)
    max_length: int = Field(_TEXT_MAX_CHARS, ge=1, le=8_000)
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _fits_its_type(self) -> Parameter:
        given = self.model_fields_set
        if self.type != "string" and given & {"choices", "pattern", "min_length", "max_length"}:
            raise ValueError("choices, pattern and lengths are for strings")
        if self.type not in ("integer", "number") and given & {"minimum", "maximum"}:
            raise ValueError("minimum and maximum are for numbers")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"the pattern is no regular expression: {error}") from None
        return self

    def schema_of(self) -> Mapping[str, Any]:
        schema: dict[str, Any] = {"type": self.type}
        if self.description:
            schema["description"] = self.description
        if self.choices:
            schema["enum"] = list(self.choices)
        elif self.type == "string":
            schema |= {"minLength": self.min_length, "maxLength": self.max_length}
            if self.pattern:
                schema["pattern"] = f"^(?:{self.pattern})$"
        for name in ("minimum", "maximum"):
            limit = getattr(self, name)
            if limit is not None:
                schema[name] = int(limit) if limit == int(limit) else limit
        return schema


class Rules(Entry):
    """What every tool of the file may say, wherever it comes from."""

    description: str = Field("", max_length=2_000)
    identity: IdentityLevel = IdentityLevel.VERIFIED
    writes: bool = True
    fallback: str = "I'm sorry, I can't do that right now."
    unsure: str = ""
    timeout_ms: int = Field(3_000, ge=50, le=30_000)
    at_once: int = Field(16, ge=1, le=1_000)
    read_back: Texts = Field(default_factory=dict)
    summary: TemplateText | None = None

    @model_validator(mode="after")
    def _asks_in_english_too(self) -> Rules:
        if self.read_back and "en" not in self.read_back:
            raise ValueError("read_back needs the language en: it is asked where the caller's has no text of its own")
        for template in self.read_back.values():
            if not template.parts[-1].rstrip().endswith(("?", "؟")):
                raise ValueError("read_back must end in a question mark: the caller answers yes or no")
        return self


class HttpTool(Rules):
    """One endpoint."""

    description: str = Field(min_length=1, max_length=2_000)
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: TemplateText
    parameters: Mapping[ToolName, Parameter] = Field(default_factory=dict)
    query: Texts = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict)
    body: Annotated[Any, BeforeValidator(_body)] = None
    result: Mapping[str, ResultPath] = Field(default_factory=dict)
    business: Mapping[Annotated[int, Field(ge=400, le=499)], str] = Field(default_factory=dict)
    keyed: bool = False
    offered: bool = True
    answer_max_kb: int = Field(256, ge=1, le=4_096)

    def mistakes(self, hosts: Mapping[str, Reach]) -> Problems:
        try:
            scheme, place = host_of(self.origin)
        except ValueError as error:
            yield ("url",), str(error)
            return
        yield from _host_mistakes(("url",), scheme, place, hosts)
        first = self.url.parts[0]
        if len(self.url.parts) > 1 and first.count("/") < 3:
            yield ("url",), "no field may stand in the host: end it with a slash"
        if any(character in part for part in self.url.parts[::2] for character in "?#\\"):
            yield ("url",), "is a path only: put what follows a question mark under query"
        yield from self._field_mistakes()
        yield from _header_mistakes(self.headers)
        if self.method == "GET" and (self.body is not None or (self.writes and "writes" in self.model_fields_set)):
            yield ("method",), "a GET has no body and changes nothing"
        for status, reason in self.business.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", reason):
                yield ("business", str(status)), "a reason is one word such as not_found"

    @property
    def origin(self) -> str:
        """Scheme, host and port, as far as they stand before the first field."""
        return "/".join(self.url.parts[0].split("/")[:3])

    @property
    def changes_something(self) -> bool:
        return self.writes and self.method != "GET"

    def _field_mistakes(self) -> Problems:
        known = {*self.parameters, *CALL_FIELDS}
        always = {*CALL_FIELDS, *(name for name, parameter in self.parameters.items() if parameter.required)}
        used = {*self.url.fields}
        yield from _unknown(("url",), self.url, always, "must be a required parameter")
        for key, template in self.query.items():
            used |= {*template.fields}
            yield from _unknown(("query", key), template, known, "is no parameter")
        for template in _templates_in(self.body):
            used |= {*template.fields}
            yield from _unknown(("body",), template, known, "is no parameter")
        for locale, template in self.read_back.items():
            yield from _unknown(
                ("read_back", locale), template, always - {*CALL_FIELDS}, "must be a required parameter"
            )
        if self.summary is not None and self.result:
            yield from _unknown(("summary",), self.summary, set(self.result), "is not in the result", whole=False)
        if "caller.id" in used and not self.changes_something and self.identity is IdentityLevel.NONE:
            yield ("identity",), _UNPROVEN
        for name in self.parameters:
            if name not in used:
                yield ("parameters", name), "is not used by url, query or body"


class McpTool(Rules):
    """What this deployment says of one tool of an MCP server, whatever the server says."""

    offered: bool = False
    inject: Mapping[str, Literal["caller.id", "caller.locale", "call.id"]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _knows_whom_it_tells(self) -> McpTool:
        if "caller.id" in self.inject.values() and not self.writes and self.identity is IdentityLevel.NONE:
            raise ValueError(_UNPROVEN)
        return self


class McpServer(Entry):
    """A server: started as a program and spoken to over its standard input and output, or reached over HTTP."""

    command: tuple[str, ...] = ()
    folder: FilePath | None = None
    environment: Mapping[str, str] = Field(default_factory=dict)
    url: str = ""
    headers: Mapping[str, str] = Field(default_factory=dict)
    start_within_ms: int = Field(5_000, ge=100, le=60_000)
    answer_max_kb: int = Field(256, ge=1, le=4_096)
    tools: Mapping[str, McpTool] = Field(default_factory=dict)

    def mistakes(self, hosts: Mapping[str, Reach]) -> Problems:
        if bool(self.command) == bool(self.url):
            yield (), "needs either command (a program to start) or url"
        elif self.url:
            if self.environment or self.folder:
                yield (), "environment and folder are for a server that is started by command"
            try:
                scheme, place = host_of(self.url)
            except ValueError as error:
                yield ("url",), str(error)
            else:
                yield from _host_mistakes(("url",), scheme, place, hosts)
        elif self.headers:
            yield ("headers",), "are for a server that is reached by url"
        yield from _header_mistakes(self.headers)


class ToolsFile(Entry):
    """The whole file."""

    hosts: Mapping[str, Reach] = Field(default_factory=dict)
    http: Mapping[ToolName, HttpTool] = Field(default_factory=dict)
    mcp: Mapping[ToolName, McpServer] = Field(default_factory=dict)

    def problems(self) -> Problems:
        for host in self.hosts:
            try:
                listed_host(host)
            except ValueError as error:
                yield ("hosts", host), str(error)
                return
        reachable = self.reachable
        for name, tool in self.http.items():
            yield from ((("http", name, *place), message) for place, message in tool.mistakes(reachable))
        for name, server in self.mcp.items():
            yield from ((("mcp", name, *place), message) for place, message in server.mistakes(reachable))

    @property
    def reachable(self) -> Mapping[str, Reach]:
        """Listed hosts as "host:port"."""
        return {listed_host(host): reach for host, reach in self.hosts.items()}


def load_tools_file(path: FilePath) -> ToolsFile:
    """Raises ``ConfigError`` naming file and line."""
    return load_data_file(ToolsFile, path, "")


def with_secrets(text: str, environment: Mapping[str, str]) -> str:
    """``text`` with each ``${NAME}`` replaced. Raises ``KeyError`` with the name of a variable that is not set."""
    return _ENVIRONMENT.sub(partial(_variable, environment), text)


def question_of(texts: Mapping[str, Template]) -> ReadBack | None:
    """What is asked before the tool runs, in the caller's language where there is a text for it."""
    if not texts:
        return None

    def ask(arguments: Mapping[str, Any], locale: str) -> str:
        template = texts.get(locale) or texts.get(language_of(locale)) or texts["en"]
        return template.fill(lambda field: str(arguments.get(field, "")))

    return ask


def _variable(environment: Mapping[str, str], match: re.Match[str]) -> str:
    if not environment.get(match[1]):
        raise KeyError(match[1])
    return environment[match[1]]


def _host_mistakes(place: Place, scheme: str, host: str, hosts: Mapping[str, Reach]) -> Problems:
    if host not in hosts:
        yield place, f"reaches {host}, which is not listed under hosts"
    elif scheme != "https" and hosts[host] is not Reach.LOOPBACK:
        yield place, "must begin with https:// (http:// is for hosts that are listed as loopback)"


def _header_mistakes(headers: Mapping[str, str]) -> Problems:
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9-]+", name) or name.lower() in _OWN_HEADERS:
            yield ("headers", name), "cannot be set: it is no header name, or the program sets it"
        if not value.isascii() or not value.isprintable():
            yield ("headers", name), "must be printable ASCII"


def _templates_in(node: Any) -> Iterator[Template]:
    if isinstance(node, Template):
        yield node
    elif isinstance(node, Mapping):
        for inner in node.values():
            yield from _templates_in(inner)
    elif isinstance(node, tuple):
        for inner in node:
            yield from _templates_in(inner)


def _unknown(place: Place, template: Template, known: set[str], what: str, *, whole: bool = True) -> Problems:
    for field in template.fields:
        if (field if whole else field.split(".")[0]) not in known:
            yield place, f"the field {{{field}}} {what}"
