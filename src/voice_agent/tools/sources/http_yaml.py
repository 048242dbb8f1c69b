"""HTTP endpoints as tools, as the tools file describes them.

A request is built from the file's templates and the validated arguments; who is asking comes from the call. What comes back
is data for the language model, and only what the file maps: it grants nothing. Errors tell a status and never a URL, a
header or a body, because they are logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx2
import orjson

from voice_agent.errors import ConfigError, ProviderError, ProviderFault
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext
from voice_agent.tools.parsing import depth_exceeds
from voice_agent.tools.sources.egress import host_of
from voice_agent.tools.sources.templates import (
    LEFT_OUT,
    Template,
    UnfitValueError,
    as_text,
    fill_json,
    fill_path,
    summary_of,
    values_of,
)
from voice_agent.tools.sources.tools_file import HttpTool, question_of, with_secrets

_RESULT_MAX_DEPTH = 32


def http_tool(
    name: str, declared: HttpTool, client: httpx2.AsyncClient, environment: Mapping[str, str], file_name: str
) -> Tool:
    """One endpoint as a tool. Raises ``ConfigError`` if a variable that its headers need is not set."""
    endpoint = _Endpoint(
        name, declared, client, filled(declared.headers, environment, f"{file_name}: http.{name}.headers")
    )
    return Tool(
        name=name,
        description=declared.description,
        parameters={
            "type": "object",
            "properties": {key: parameter.schema_of() for key, parameter in declared.parameters.items()},
            "required": [key for key, parameter in declared.parameters.items() if parameter.required],
            "additionalProperties": False,
        },
        handler=endpoint.ask,
        fallback=declared.fallback,
        unsure=declared.unsure,
        keyed=declared.keyed,
        timeout_s=declared.timeout_ms / 1000,
        at_once=declared.at_once,
        read_only=not declared.changes_something,
        identity=declared.identity,
        model_callable=declared.offered,
        read_back=question_of(declared.read_back),
        summary=partial(summary_of, declared.summary) if declared.summary else None,
    )


def filled(texts: Mapping[str, str], environment: Mapping[str, str], where: str) -> dict[str, str]:
    """Headers, or variables, with what they refer to put in. Raises ``ConfigError`` naming the variable, never a value."""
    result = {}
    for key, text in texts.items():
        try:
            value = with_secrets(text, environment)
        except KeyError as missing:
            raise ConfigError(f"{where}.{key}: the environment variable {missing.args[0]} is not set.") from None
        if not value.isascii() or not value.isprintable():
            raise ConfigError(f"{where}.{key}: the variable's value is not printable ASCII (it is not shown here).")
        result[key] = value
    return result


class _Endpoint:
    """Asks one endpoint."""

    def __init__(self, name: str, declared: HttpTool, client: httpx2.AsyncClient, headers: Mapping[str, str]) -> None:
        self._name = name
        self._declared = declared
        self._client = client
        self._headers = {"accept": "application/json", **headers}
        self._origin = declared.origin
        self._path = Template((declared.url.parts[0][len(self._origin) :], *declared.url.parts[1:]))

    async def ask(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        """One request; the router bounds its time. Raises ``ProviderError``. Cancelling closes the connection."""
        try:
            request = self._request(values_of(arguments, context), context.idempotency_key)
        except UnfitValueError as error:
            return ToolAnswer({"error": f"An argument is not usable. {error}."}, found=False, reason="bad_value")
        try:
            response = await self._client.send(request)
        except httpx2.TimeoutException:
            raise self._error("did not answer in time", ProviderFault.TIMEOUT) from None
        except httpx2.HTTPError as error:
            # What the checked client itself says is fit for a log; the text of others may quote what was sent.
            what, unsent = f"cannot be asked: {type(error).__name__}", isinstance(error, httpx2.ConnectError)
            raise self._error(what, ProviderFault.NETWORK, undone=unsent) from None
        return self._understood(response)

    def _request(self, values: Mapping[str, Any], idempotency_key: str) -> httpx2.Request:
        declared = self._declared
        url = httpx2.URL(self._origin + fill_path(self._path, values))
        if host_of(str(url)) != host_of(self._origin):
            raise UnfitValueError("the arguments do not fit the address")
        query = {
            key: template.fill(lambda field: as_text(values[field]))
            for key, template in declared.query.items()
            if all(field in values for field in template.fields)
        }
        headers = dict(self._headers)
        if idempotency_key:
            headers["idempotency-key"] = idempotency_key
        content = None
        if declared.body is not None and (body := fill_json(declared.body, values)) is not LEFT_OUT:
            content = orjson.dumps(body)
            headers["content-type"] = "application/json"
        return self._client.build_request(
            declared.method,
            url.copy_with(params=query) if query else url,
            headers=headers,
            content=content,
            timeout=httpx2.Timeout(declared.timeout_ms / 1000),
        )

    def _understood(self, response: httpx2.Response) -> ToolAnswer:
        status = response.status_code
        if reason := self._declared.business.get(status):
            return ToolAnswer({}, found=False, reason=reason)
        if 300 <= status < 400:
            raise self._error(f"sent us elsewhere (status {status})", ProviderFault.PROTOCOL, retryable=False)
        if status in (401, 403):
            what = f"refused our credentials (status {status})"
            raise self._error(what, ProviderFault.AUTH, retryable=False, undone=True)
        if status == 429:
            raise self._error("has had too many requests (status 429)", ProviderFault.RATE, undone=True)
        if status >= 500:
            raise self._error(f"failed (status {status})", ProviderFault.INTERNAL)
        if status >= 400:
            raise self._error(f"did not accept the request (status {status})", ProviderFault.PROTOCOL, retryable=False)
        if not response.content:
            return ToolAnswer({})
        try:
            data = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            raise self._error("did not answer in JSON", ProviderFault.PROTOCOL) from None
        if depth_exceeds(data, _RESULT_MAX_DEPTH):
            raise self._error("answered with data nested too deeply", ProviderFault.PROTOCOL)
        if self._declared.result:
            return ToolAnswer({key: path.read(data) for key, path in self._declared.result.items()})
        return ToolAnswer(data if isinstance(data, dict) else {"result": data})

    def _error(self, what: str, fault: ProviderFault, *, retryable: bool = True, undone: bool = False) -> ProviderError:
        told = f"the endpoint of {self._name} {what}"
        return ProviderError(told, category=fault, retryable=retryable, undone=undone)
