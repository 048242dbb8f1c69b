"""The shop's API: who may ask, what is asked, and how answers and problems look. FastAPI describes it at /openapi.json.

Everything under /v1 needs the service's bearer token. The caller's id is part of the path: whoever holds the token vouches
for it. Every write takes an ``Idempotency-Key``.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_agent import __version__
from voice_agent.demo_backend import wire
from voice_agent.demo_backend.faults import Endpoint, FaultBoard, FaultyRoute, parse_fault
from voice_agent.demo_backend.idempotency import Answer
from voice_agent.demo_backend.problems import Code, ProblemError
from voice_agent.demo_backend.request_log import RequestLog
from voice_agent.demo_backend.shop import Shop
from voice_agent.demo_backend.tables import CALLER_ID_CHARS, KEY_CHARS
from voice_agent.errors import ConfigError, StoreError

MAX_BODY_BYTES = 16_384
ORDERS_MAX = 200

CallerId = Annotated[str, Path(max_length=CALLER_ID_CHARS, pattern=r"^[A-Za-z0-9+@._:~-]+$")]
OrderId = Annotated[str, Path(max_length=32, pattern=r"^[A-Za-z0-9]+$")]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=KEY_CHARS, pattern=r"^[!-~]+$")]


def create_api(shop: Shop, token: str, faults: FaultBoard | None = None) -> FastAPI:
    """The application. ``token`` must not be empty; /healthz needs none. With ``faults`` there is a switchboard under
    /dev/faults. Raises ``ConfigError``."""
    if not token:
        raise ConfigError("the shop needs a bearer token: set SHOP_API_TOKEN.")
    api = FastAPI(
        title="Demo shop",
        version=__version__,
        summary="Orders of a shop's customers, and what can be done about them.",
        redirect_slashes=False,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
    )
    api.state.shop = shop
    api.state.faults = faults
    api.include_router(_reading_routes())
    api.include_router(_writing_routes())
    api.add_api_route("/healthz", _healthy, include_in_schema=False)
    api.add_api_route("/v1/status", _healthy, operation_id="status", summary="Whether the token is accepted.")
    if faults is not None:
        api.include_router(_switchboard(faults))
    api.add_exception_handler(ProblemError, _on_problem)
    api.add_exception_handler(RequestValidationError, _on_bad_request)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(StoreError, _on_store_error)
    api.add_middleware(_Door, token=token)
    api.add_middleware(RequestLog)
    return api


def _v1() -> APIRouter:
    return APIRouter(
        prefix="/v1/callers/{caller_id}",
        route_class=FaultyRoute,
        # For the description only: the door has checked the token before.
        dependencies=[Depends(HTTPBearer(auto_error=False))],
        responses=wire.PROBLEMS,
    )


def _reading_routes() -> APIRouter:
    router = _v1()

    @router.get("/orders", operation_id=Endpoint.LIST_ORDERS.value)
    async def list_orders(
        request: Request,
        caller_id: CallerId,
        state: wire.OrderState = wire.OrderState.ALL,
        limit: Annotated[int, Query(ge=1, le=ORDERS_MAX)] = 20,
    ) -> wire.OrderPage:
        """The caller's orders, newest first. A caller nobody knows has none."""
        return await _shop(request).orders(caller_id, state, limit)

    @router.get("/orders/{order_id}", operation_id=Endpoint.GET_ORDER.value)
    async def get_order(request: Request, caller_id: CallerId, order_id: OrderId) -> wire.Order:
        """One order of the caller. Somebody else's order is not found."""
        return await _shop(request).order(caller_id, order_id)

    @router.get("/orders/{order_id}/delivery", operation_id=Endpoint.DELIVERY.value)
    async def delivery(request: Request, caller_id: CallerId, order_id: OrderId) -> wire.Delivery:
        """When an order comes, parcel by parcel."""
        return await _shop(request).delivery(caller_id, order_id)

    return router


def _writing_routes() -> APIRouter:
    router = _v1()

    @router.post(
        "/orders/{order_id}/returns",
        operation_id=Endpoint.START_RETURN.value,
        status_code=201,
        response_model=wire.ReturnStarted,
    )
    async def start_return(
        request: Request, caller_id: CallerId, order_id: OrderId, body: wire.ReturnRequest, key: Key = None
    ) -> Response:
        """Within 30 days of delivery, unused; what arrived damaged or wrong as well."""
        return _sent(
            await _shop(request).start_return(caller_id, order_id, _needed(key), body, partial(_waits, request))
        )

    @router.post(
        "/orders/{order_id}/cancellation",
        operation_id=Endpoint.CANCEL_ORDER.value,
        response_model=wire.OrderCancelled,
    )
    async def cancel_order(
        request: Request, caller_id: CallerId, order_id: OrderId, body: wire.CancelRequest, key: Key = None
    ) -> Response:
        """Until the order is shipped."""
        return _sent(await _shop(request).cancel(caller_id, order_id, _needed(key), body, partial(_waits, request)))

    @router.put(
        "/orders/{order_id}/address", operation_id=Endpoint.UPDATE_ADDRESS.value, response_model=wire.AddressUpdated
    )
    async def update_address(
        request: Request, caller_id: CallerId, order_id: OrderId, body: wire.AddressRequest, key: Key = None
    ) -> Response:
        """Until the order is shipped, within its country."""
        return _sent(
            await _shop(request).change_address(caller_id, order_id, _needed(key), body, partial(_waits, request))
        )

    @router.post(
        "/callbacks",
        operation_id=Endpoint.CALLBACK_REQUEST.value,
        status_code=201,
        response_model=wire.CallbackTaken,
    )
    async def callback_request(
        request: Request, caller_id: CallerId, body: wire.CallbackRequest, key: Key = None
    ) -> Response:
        """Somebody calls the caller back, on the number that is the caller's id."""
        return _sent(await _shop(request).request_callback(caller_id, _needed(key), body, partial(_waits, request)))

    return router


def _switchboard(board: FaultBoard) -> APIRouter:
    router = APIRouter(prefix="/dev/faults", include_in_schema=False)

    @router.get("")
    async def show() -> dict[str, str]:
        return {endpoint.value: board.current(endpoint) or "none" for endpoint in Endpoint}

    @router.get("/asked")
    async def asked() -> dict[str, int]:
        """How many requests came to each endpoint."""
        return {endpoint.value: board.asked[endpoint] for endpoint in Endpoint}

    @router.put("/{endpoint}/{fault}")
    async def switch(
        endpoint: str, fault: str, times: int | None = None, slow_ms: Annotated[int, Query(ge=0, le=60_000)] = 1000
    ) -> Response:
        try:
            board.set(*parse_fault(f"{endpoint}={fault}"), times=times, slow_s=slow_ms / 1000)
        except ConfigError as error:
            return ProblemError(Code.BAD_REQUEST, str(error)).response()
        return JSONResponse(await show())

    return router


def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


async def _waits(request: Request) -> bool:
    return not await request.is_disconnected()


def _needed(key: str | None) -> str:
    if not key:
        raise ProblemError(Code.KEY_MISSING, "Every write needs an Idempotency-Key header.")
    return key


def _sent(answer: Answer) -> Response:
    media_type = "application/json" if answer.status < 400 else "application/problem+json"
    headers = {"Idempotency-Replayed": "true"} if answer.replayed else None
    return Response(answer.body, answer.status, headers, media_type)


async def _healthy(request: Request) -> dict[str, str]:
    return {"status": "ok"}


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.response()


async def _on_bad_request(request: Request, error: Exception) -> Response:
    """Says where and what, never the value: it may be somebody's address."""
    assert isinstance(error, RequestValidationError)
    errors = [{"where": ".".join(map(str, each["loc"])), "what": each["msg"]} for each in error.errors()[:10]]
    return ProblemError(Code.BAD_REQUEST, "The request is not as the API describes it.", errors=errors).response()


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = Code.NO_SUCH_ENDPOINT if error.status_code in (404, 405) else Code.BAD_REQUEST
    return ProblemError(
        code, "There is no such endpoint." if code is Code.NO_SUCH_ENDPOINT else "Bad request."
    ).response()


async def _on_store_error(request: Request, error: Exception) -> Response:
    return ProblemError(Code.UNAVAILABLE, "The shop's database does not answer.").response()


class _Door:
    """Lets nobody in without the token, and no body of more than ``MAX_BODY_BYTES``; before anything is parsed."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if scope["path"].startswith("/v1/") and not secrets.compare_digest(
            headers.get(b"authorization", b""), self._expected
        ):
            problem = ProblemError(Code.UNAUTHORIZED, "The bearer token is missing or wrong.")
            await problem.response()(scope, receive, send)
            return
        body = await _whole_body(receive) if scope["method"] in ("POST", "PUT", "PATCH") else b""
        if body is None:
            problem = ProblemError(Code.TOO_LARGE, f"A request has at most {MAX_BODY_BYTES} bytes.")
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, _replaying(body, receive), send)


async def _whole_body(receive: Receive) -> bytes | None:
    """The request's body; ``None`` where it is too large, or its sender has gone."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(pieces)


def _replaying(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
