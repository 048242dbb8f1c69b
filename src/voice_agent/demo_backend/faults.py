"""What can go wrong with an order system, and the board on which it is switched, per endpoint, at any moment. For tests.

The board exists only where the shop was started with it. Faults strike at the endpoint itself: behind the bearer token,
in front of the work, or between the work and its answer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import orjson
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voice_agent.demo_backend.problems import Code, ProblemError
from voice_agent.errors import ConfigError

SLOW_S = 1.0


class Endpoint(StrEnum):
    """The operations of the API, by their ids there."""

    LIST_ORDERS = "list_orders"
    GET_ORDER = "get_order"
    DELIVERY = "delivery"
    START_RETURN = "start_return"
    CANCEL_ORDER = "cancel_order"
    UPDATE_ADDRESS = "update_address"
    CALLBACK_REQUEST = "callback_request"


class Fault(StrEnum):
    HANG = "hang"  # nothing ever comes
    SLOW = "slow"  # the right answer, late
    SERVER_ERROR = "server_error"  # 503
    GARBAGE = "garbage"  # 200, and no JSON
    WRONG_SCHEMA = "wrong_schema"  # 200, JSON, and not what was promised
    EMPTY = "empty"  # 200, JSON by its head, and nothing in it
    HUGE = "huge"  # 200, and far more than anybody asked for
    REFUSED = "refused"  # 401
    LOST_ANSWER = "lost_answer"  # the work is done, and the connection lost in the middle of its answer
    HANG_AFTER = "hang_after"  # the work is done, and its answer never comes
    ERROR_AFTER = "error_after"  # the work is done, and answered with 500


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault that is switched on. ``times``: how often it still strikes; ``None`` is until it is healed."""

    fault: Fault
    times: int | None = None
    slow_s: float = SLOW_S


class FaultBoard:
    """The faults that are on now: at most one an endpoint. ``asked`` counts the requests that came. Belongs to one event
    loop."""

    def __init__(self) -> None:
        self._troubles: dict[Endpoint, Trouble] = {}
        self.asked: Counter[Endpoint] = Counter()

    def set(self, endpoint: Endpoint, fault: Fault | None, *, times: int | None = None, slow_s: float = SLOW_S) -> None:
        """Switches an endpoint's fault; ``None`` heals it. Requests under way are not touched."""
        self._troubles.pop(endpoint, None)
        if fault is not None and times != 0:
            self._troubles[endpoint] = Trouble(fault, times, slow_s)

    def current(self, endpoint: Endpoint) -> Fault | None:
        trouble = self._troubles.get(endpoint)
        return trouble.fault if trouble else None

    def take(self, endpoint: Endpoint) -> Trouble | None:
        """The trouble that strikes this request; counts both."""
        self.asked[endpoint] += 1
        trouble = self._troubles.get(endpoint)
        if trouble is not None and trouble.times is not None:
            self.set(endpoint, trouble.fault, times=trouble.times - 1, slow_s=trouble.slow_s)
            return replace(trouble, times=trouble.times - 1)
        return trouble


def parse_fault(text: str) -> tuple[Endpoint, Fault | None]:
    """Reads ``ENDPOINT=FAULT`` ("cancel_order=hang"; "none" heals). Raises ``ConfigError``."""
    endpoint, _, fault = text.partition("=")
    try:
        return Endpoint(endpoint.strip()), None if fault.strip() == "none" else Fault(fault.strip())
    except ValueError:
        raise ConfigError(
            f"{text!r} is no fault: write ENDPOINT=FAULT with an endpoint of {', '.join(Endpoint)} and a fault of "
            f"{', '.join(Fault)}, or none."
        ) from None


class FaultyRoute(APIRoute):
    """A route that asks the application's board before it answers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        endpoint = Endpoint(self.operation_id or "")

        async def with_faults(request: Request) -> Response:
            board: FaultBoard | None = request.app.state.faults
            trouble = board.take(endpoint) if board is not None else None
            if trouble is None:
                return await handle(request)
            return await _act_out(trouble, request, handle)

        return with_faults


async def _act_out(trouble: Trouble, request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
    match trouble.fault:
        case Fault.HANG:
            return await _until_left(request)
        case Fault.SLOW:
            await asyncio.sleep(trouble.slow_s)
            return await handle(request)
        case Fault.SERVER_ERROR:
            return ProblemError(Code.UNAVAILABLE, "The shop is not available.").response()
        case Fault.GARBAGE:
            return Response(b'{"orders": [{"order_id": <html>oops', media_type="application/json")
        case Fault.WRONG_SCHEMA:
            return Response(
                orjson.dumps({"orders": "none", "order_id": 83102, "total": []}), media_type="application/json"
            )
        case Fault.EMPTY:
            return Response(b"", media_type="application/json")
        case Fault.HUGE:
            return Response(b'{"orders": "' + b"x" * 4 * 1024 * 1024 + b'"}', media_type="application/json")
        case Fault.REFUSED:
            return ProblemError(Code.UNAUTHORIZED, "The bearer token is missing or wrong.").response()
        case Fault.LOST_ANSWER:
            await handle(request)
            return _CutOff()
        case Fault.HANG_AFTER:
            await handle(request)
            return await _until_left(request)
        case Fault.ERROR_AFTER:
            await handle(request)
            return ProblemError(Code.INTERNAL, "The shop failed.").response()


async def _until_left(request: Request) -> Response:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return _CutOff()


class _CutOff(Response):
    """An answer that begins and never ends: the server closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
