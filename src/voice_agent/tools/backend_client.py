"""The platform's client of the shop's order system: HTTP requests, and their answers in our own categories.

What the shop says about an order ("it has been sent already") is an answer: a ``Refusal``. Everything else that is not a
success raises ``ProviderError``. Whose orders are asked for is the caller's id from the call, never anything a model wrote;
an id that cannot be one of the shop's has no orders, and nobody is asked.

A write carries an idempotency key. So if its connection is lost, or its answer late, broken or a failure, it is sent once
more with the same key: the shop does it once, and the caller hears what came of it. An error says that the shop did nothing
(``undone``) only where that is certain of every time the request was sent.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ValidationError

from voice_agent.config import ShopSettings
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.peer import Peer, protocol_error, transport_error
from voice_agent.providers.web import Answer, WebClient
from voice_agent.store.callers import caller_key
from voice_agent.store.records import Order
from voice_agent.tools.backend_wire import (
    AddressAnswer,
    CallbackAnswer,
    CancelAnswer,
    DeliveryAnswer,
    OrderAnswer,
    PageAnswer,
    ProblemAnswer,
    ReturnAnswer,
    StatusAnswer,
)
from voice_agent.tools.base import ToolAnswer

ANSWER_MAX_BYTES: Final = 262_144  # 200 orders are about 80 000
ORDERS_MAX: Final = 200
_CALLER_ID: Final = re.compile(r"(?!\.+$)[A-Za-z0-9+@._:~-]{1,72}")  # what the API takes; dots alone would be a path
_KEY: Final = re.compile(r"[!-~]{1,128}")
_CONNECT_SHARE: Final = 0.8  # of a request's time: a shop to which no connection comes is known to have done nothing
_BUSINESS: Final = "business"
_NOT_FOUND: Final = "not_found"
# After these a write may have been done, or may succeed yet. Who turns the token or the rate away, does so again.
_ASK_AGAIN: Final = frozenset(
    {ProviderFault.NETWORK, ProviderFault.TIMEOUT, ProviderFault.INTERNAL, ProviderFault.PROTOCOL}
)

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A business answer: why something was not done. ``facts`` may be told to the caller."""

    code: str
    detail: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def answer(self, **data: Any) -> ToolAnswer:
        """For the model: ``data``, the facts, and a sentence."""
        told = {"detail": self.detail} if self.detail else {}
        return ToolAnswer({**data, **self.facts, **told}, found=False, reason=self.code)


NO_SUCH_ORDER: Final = Refusal(_NOT_FOUND, "You have no order with this number.")


class ShopClient:
    """An ``OrderClient`` and more; shared by the process. Every method raises ``ProviderError`` and is safe to cancel,
    though a cancelled write may have been done."""

    def __init__(self, web: WebClient, settings: ShopSettings) -> None:
        self._web = web
        self._base_url = settings.api_url.rstrip("/")
        self._authorization = f"Bearer {settings.api_token.get_secret_value()}"
        self._timeout_s = settings.api_timeout_ms / 1000
        self._peer = Peer("the shop", self._base_url, "SHOP_API_TOKEN", "SHOP_API_URL")

    async def warm(self) -> None:
        """Opens a connection unless one waits; that tries the token as well."""
        path = "/v1/status"
        if not self._web.has_waiting(f"{self._base_url}{path}"):
            await self._ask("GET", path, StatusAnswer)

    async def orders_of(self, caller_id: str) -> tuple[Order, ...]:
        """The caller's orders, newest first, at most 200."""
        page = await self.list_orders(caller_id, state="all", limit=ORDERS_MAX)
        return tuple(order.record(caller_id) for order in page.orders)

    async def order(self, caller_id: str, order_id: str) -> Order | None:
        """``None`` where there is no such order and where it belongs to somebody else."""
        found = await self._about(caller_id, order_id, "GET", "", OrderAnswer)
        if isinstance(found, Refusal):
            if found.code != _NOT_FOUND:
                raise protocol_error(self._peer, f"refuses to show an order ({found.code})")
            return None
        return found.record(caller_id)

    async def list_orders(self, caller_id: str, *, state: str, limit: int) -> PageAnswer:
        """The newest orders of a state, and how many there are."""
        owner = _path_of(caller_id)
        if owner is None:
            return PageAnswer(orders=[], total=0)
        page = await self._ask("GET", f"{owner}/orders?state={quote(state, safe='')}&limit={limit}", PageAnswer)
        if isinstance(page, Refusal):
            raise protocol_error(self._peer, f"refuses to list orders ({page.code})")
        return page

    async def delivery(self, caller_id: str, order_id: str) -> DeliveryAnswer | Refusal:
        return await self._about(caller_id, order_id, "GET", "/delivery", DeliveryAnswer)

    async def start_return(
        self, caller_id: str, order_id: str, body: Mapping[str, Any], *, idempotency_key: str = ""
    ) -> ReturnAnswer | Refusal:
        return await self._about(caller_id, order_id, "POST", "/returns", ReturnAnswer, body, idempotency_key)

    async def cancel(
        self, caller_id: str, order_id: str, body: Mapping[str, Any], *, idempotency_key: str = ""
    ) -> CancelAnswer | Refusal:
        return await self._about(caller_id, order_id, "POST", "/cancellation", CancelAnswer, body, idempotency_key)

    async def update_address(
        self, caller_id: str, order_id: str, body: Mapping[str, Any], *, idempotency_key: str = ""
    ) -> AddressAnswer | Refusal:
        return await self._about(caller_id, order_id, "PUT", "/address", AddressAnswer, body, idempotency_key)

    async def request_callback(
        self, caller_id: str, body: Mapping[str, Any], *, idempotency_key: str = ""
    ) -> CallbackAnswer | Refusal:
        """Somebody calls back the number the caller called from."""
        owner = _path_of(caller_id)
        if owner is None:
            return Refusal("no_number", "There is no telephone number to call back.")
        return await self._ask("POST", f"{owner}/callbacks", CallbackAnswer, body, idempotency_key)

    async def _about(
        self,
        caller_id: str,
        order_id: str,
        method: str,
        action: str,
        model: type[M],
        body: Mapping[str, Any] | None = None,
        key: str = "",
    ) -> M | Refusal:
        """A request about one order; the answer must be about the same one."""
        owner = _path_of(caller_id)
        if owner is None or not order_id.isascii() or not order_id.isalnum() or len(order_id) > 32:
            return NO_SUCH_ORDER
        found = await self._ask(method, f"{owner}/orders/{order_id}{action}", model, body, key)
        if not isinstance(found, Refusal) and getattr(found, "order_id", "") != order_id:
            raise protocol_error(self._peer, "answers about another order than the one asked for")
        return found

    async def _ask(
        self, method: str, path: str, model: type[M], body: Mapping[str, Any] | None = None, key: str = ""
    ) -> M | Refusal:
        headers = {"authorization": self._authorization, "accept": "application/json, application/problem+json"}
        content = None
        if body is not None:
            content = orjson.dumps(dict(body))
            headers |= {"content-type": "application/json", "idempotency-key": _sendable(key)}
        if content is None:
            return await self._exchange(method, path, headers, None, model)
        return await self._written(method, path, headers, content, model)

    async def _written(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes, model: type[M]
    ) -> M | Refusal:
        """A write's answer. (A read is tried again by whoever asked.)"""
        try:
            return await self._exchange(method, path, headers, content, model)
        except ProviderError as error:
            if error.category not in _ASK_AGAIN:
                raise
            undone = error.undone
        try:
            return await self._exchange(method, path, headers, content, model)
        except ProviderError as error:
            error.undone = error.undone and undone
            raise

    async def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes | None, model: type[M]
    ) -> M | Refusal:
        import httpx2

        answer: Answer | None = None
        connect_s = self._timeout_s * _CONNECT_SHARE
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._web.open(
                    method, f"{self._base_url}{path}", headers=headers, content=content, connect_s=connect_s
                )
                return self._understood(answer, await self._whole(answer), model)
        except TimeoutError:
            raise ProviderError(
                f"the shop at {self._base_url} did not answer within {self._timeout_s * 1000:.0f} ms.",
                category=ProviderFault.TIMEOUT,
            ) from None
        except httpx2.HTTPError as error:
            raise transport_error(self._peer, error, connect_s) from error
        finally:
            if answer is not None:
                await answer.aclose()

    async def _whole(self, answer: Answer) -> bytes:
        pieces: list[bytes] = []
        size = 0
        async for piece in answer.body():
            pieces.append(piece)
            size += len(piece)
            if size > ANSWER_MAX_BYTES:
                raise ProviderError(
                    f"the shop at {self._base_url} sends more than {ANSWER_MAX_BYTES} bytes.",
                    category=ProviderFault.PROTOCOL,
                    retryable=False,
                )
        await answer.release()
        return b"".join(pieces)

    def _understood(self, answer: Answer, body: bytes, model: type[M]) -> M | Refusal:
        if answer.status in (200, 201) and answer.content_type == "application/json":
            try:
                return model.model_validate_json(body)
            except ValidationError as error:
                # Which field, never its value: that is somebody's order.
                where = ".".join(str(part) for part in error.errors(include_input=False, include_url=False)[0]["loc"])
                raise protocol_error(
                    self._peer, f"sends an answer that is not a {model.__name__} (at {where or 'its beginning'})"
                ) from None
        problem = _problem(answer, body)
        if problem is not None and problem.kind == _BUSINESS and 400 <= answer.status < 500:
            return Refusal(problem.code, problem.detail, problem.facts())
        raise self._failure(answer, problem)

    def _failure(self, answer: Answer, problem: ProblemAnswer | None) -> ProviderError:
        told = f"HTTP {answer.status}" + (f", {problem.code}" if problem is not None else "")
        if answer.status in (401, 403):
            return ProviderError(
                f"the shop at {self._base_url} does not accept the token ({told}): check SHOP_API_TOKEN.",
                category=ProviderFault.AUTH,
                retryable=False,
                undone=True,
            )
        if answer.status == 429:
            return ProviderError(
                f"the shop takes no more requests at the moment ({told}).", category=ProviderFault.RATE, undone=True
            )
        if answer.status >= 500 or answer.status == 408:
            return ProviderError(f"the shop failed ({told}).", category=ProviderFault.INTERNAL)
        return ProviderError(
            f"the shop at {self._base_url} does not answer as its API says ({told}): check SHOP_API_URL.",
            category=ProviderFault.PROTOCOL,
            retryable=False,
        )


def _problem(answer: Answer, body: bytes) -> ProblemAnswer | None:
    if answer.content_type != "application/problem+json":
        return None
    try:
        return ProblemAnswer.model_validate_json(body)
    except ValidationError:
        return None


def _path_of(caller_id: str) -> str | None:
    """The caller's place in the API; ``None`` for an id the shop cannot know."""
    key = caller_key(caller_id)
    return f"/v1/callers/{quote(key, safe='')}" if _CALLER_ID.fullmatch(key) else None


def _sendable(key: str) -> str:
    """The key as a header takes it; where none is given, one that fits this request only."""
    if not key:
        return uuid.uuid4().hex
    return key if _KEY.fullmatch(key) else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
