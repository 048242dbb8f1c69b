"""What all of OpenAI's endpoints share: the key, the shape of errors, checked bodies, and answers that stream.

Errors look as the vendor's documents say (https://platform.openai.com/docs/guides/error-codes); their texts are ours.
"""

from __future__ import annotations

import asyncio
import hmac
import math
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voice_agent.dev_vendors.bodies import MAX_BODY_BYTES, body_of, unread
from voice_agent.dev_vendors.desk import Exchange, Mark, VendorDesk
from voice_agent.dev_vendors.faults import Fault, Stage

Body = TypeVar("Body", bound=BaseModel)

BROKEN_JSON = b'{"id": "chatcmpl-broken", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"cont'


@dataclass(eq=False)
class ApiError(Exception):
    """An error for the client: becomes an answer's ``{"error": {…}}``, or an event of a session."""

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}

    def response(self) -> Response:
        return json_response({"error": self.body()}, self.status, self.headers)


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, {**_request_id(), **(headers or {})}, "application/json")


def _request_id() -> dict[str, str]:
    return {"x-request-id": new_id("req")}


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def fault_error(exchange: Exchange) -> ApiError | None:
    """The fault of the moment, where it is an error that a request is answered with."""
    retry_s = exchange.desk.retry_after_s
    match exchange.fault:
        case Fault.UNAUTHORIZED:
            return _wrong_key()
        case Fault.RATE_LIMITED:
            return ApiError(
                429,
                "Rate limit reached for requests. Please try again later.",
                type="requests",
                code="rate_limit_exceeded",
                headers={"retry-after": str(math.ceil(retry_s)), "retry-after-ms": str(round(retry_s * 1000))},
            )
        case Fault.QUOTA:
            return ApiError(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
                type="insufficient_quota",
                code="insufficient_quota",
            )
        case Fault.SERVER_ERROR:
            return ApiError(503, "The server is overloaded or not ready yet.", type="server_error")
        case _:
            return None


def _wrong_key() -> ApiError:
    return ApiError(401, "Incorrect API key provided. It is not the one this server accepts.", code="invalid_api_key")


def check_key(desk: VendorDesk, headers: Mapping[str, str]) -> None:
    """Raises ``ApiError`` (401) for a request without the right bearer token."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise ApiError(401, "You didn't provide an API key in an Authorization header, as in 'Bearer YOUR_KEY'.")
    if not hmac.compare_digest(key.strip().encode(), desk.key.encode()):
        raise _wrong_key()


def endpoint(
    desk: VendorDesk, stage: Stage, answer: Callable[[Request, Exchange], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """A request's way: journal, fault, key, then ``answer``, whose ``ApiError`` becomes the answer."""

    async def serve(request: Request) -> Response:
        exchange = desk.open(stage, f"{request.method} {request.url.path}")
        try:
            if (error := fault_error(exchange)) is not None:
                raise error
            check_key(desk, request.headers)
            return await answer(request, exchange)
        except ApiError as error:
            exchange.note(Mark.REFUSED, f"{error.status} {error.code or error.type}")
            return error.response()
        except ClientDisconnect:
            exchange.note(Mark.CLIENT_GONE)
            return unread()

    return serve


async def read_body(request: Request, model: type[Body]) -> Body:
    """The request's body, checked. Raises ``ApiError`` (400, 413) that names the field."""
    body = await body_of(request)
    if body is None:
        raise ApiError(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"We could not parse the JSON body of your request: {error}.") from None
    return checked(model, content)


def checked(model: type[Body], content: Any) -> Body:
    """``content`` as a ``model``. Raises ``ApiError`` (400) that names the first wrong field, as ``messages[0].role``."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        param = _path(first["loc"])
        if first["type"] == "missing":
            message, code = f"Missing required parameter: '{param}'.", "missing_required_parameter"
        else:
            message, code = f"Invalid value for '{param}': {first['msg']}.", "invalid_value"
        raise ApiError(400, message, code=code, param=param or None) from None


def _path(location: tuple[int | str, ...]) -> str:
    """``("messages", 0, "content", "str")`` → ``messages[0].content``: names of union branches are left out."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.isidentifier() and step not in ("str", "bool", "int"):
            path += f".{step}" if path else step
    return path


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of an answer's body. ``content``: it carries tokens or audio."""

    data: bytes
    content: bool = False


class StreamedResponse(Response):
    """An answer whose body is written as it comes. That the client closes is noticed at once, whatever the pieces wait for:
    then they are closed, and the journal says so.
    """

    def __init__(
        self,
        exchange: Exchange,
        pieces: AsyncGenerator[Piece, None],
        *,
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._exchange = exchange
        self._pieces = pieces
        self._early_head = exchange.desk.early_heads
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({**_request_id(), **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writing = asyncio.create_task(self._write(send), name="answer")
        leaving = asyncio.create_task(_gone(receive), name="client-gone")
        try:
            await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                self._exchange.note(Mark.CLIENT_GONE)
        finally:
            for task in (writing, leaving):
                task.cancel()
            await asyncio.wait((writing, leaving))
        if not writing.cancelled():
            writing.result()

    async def _write(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        if self._early_head:
            await send(head)
        begun = self._early_head
        async with aclosing(self._pieces) as pieces:
            async for piece in pieces:
                if not begun:
                    await send(head)
                    begun = True
                if piece.content:
                    self._exchange.sent_content()
                await send({"type": "http.response.body", "body": piece.data, "more_body": True})
        if not begun:
            await send(head)
        await send({"type": "http.response.body", "body": b""})
        self._exchange.note(Mark.LAST_BYTE)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
