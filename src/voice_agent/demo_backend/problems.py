"""What the shop answers when it does not do what was asked: ``application/problem+json`` (RFC 9457).

``kind`` tells apart what a caller can be told from what went wrong: ``business`` is an answer ("it has been sent
already"), ``request`` means that the asking program is at fault, ``failure`` that the shop is. ``code`` is a closed set.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import orjson
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Kind(StrEnum):
    BUSINESS = "business"
    REQUEST = "request"
    FAILURE = "failure"


class Code(StrEnum):
    """Business answers first."""

    NOT_FOUND = "not_found"  # no such order, or not this caller's: nobody can tell which
    TOO_LATE = "too_late"
    ALREADY_CANCELLED = "already_cancelled"
    ALREADY_RETURNED = "already_returned"
    NOT_DELIVERED = "not_delivered"
    NOT_RETURNABLE = "not_returnable"
    ITEM_NOT_IN_ORDER = "item_not_in_order"
    TOO_MANY_PIECES = "too_many_pieces"
    OTHER_COUNTRY = "other_country"
    NO_NUMBER = "no_number"
    TOO_MANY_CALLBACKS = "too_many_callbacks"
    BAD_REQUEST = "bad_request"
    KEY_MISSING = "idempotency_key_missing"
    KEY_REUSED = "idempotency_key_reused"
    UNAUTHORIZED = "unauthorized"
    NO_SUCH_ENDPOINT = "no_such_endpoint"
    TOO_LARGE = "too_large"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


_STATUS: Mapping[Code, int] = {
    Code.NOT_FOUND: 404,
    Code.BAD_REQUEST: 400,
    Code.KEY_MISSING: 400,
    Code.KEY_REUSED: 422,
    Code.UNAUTHORIZED: 401,
    Code.NO_SUCH_ENDPOINT: 404,
    Code.TOO_LARGE: 413,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
}
_REQUEST = frozenset(
    {
        Code.BAD_REQUEST,
        Code.KEY_MISSING,
        Code.KEY_REUSED,
        Code.UNAUTHORIZED,
        Code.NO_SUCH_ENDPOINT,
        Code.TOO_LARGE,
    }
)
_FAILURE = frozenset({Code.INTERNAL, Code.UNAVAILABLE})


class ProblemError(Exception):
    """``detail`` is one sentence for a person, without what was sent; ``facts`` are further members of the answer."""

    def __init__(self, code: Code, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.facts = facts

    @property
    def status(self) -> int:
        return _STATUS.get(self.code, 409)

    @property
    def kind(self) -> Kind:
        if self.code in _REQUEST:
            return Kind.REQUEST
        return Kind.FAILURE if self.code in _FAILURE else Kind.BUSINESS

    def body(self) -> dict[str, Any]:
        return {
            "type": f"urn:demo-shop:problem:{self.code.value}",
            "title": self.code.value.replace("_", " ").capitalize(),
            "status": self.status,
            "kind": self.kind.value,
            "code": self.code.value,
            "detail": self.detail,
            **self.facts,
        }

    def response(self) -> Response:
        headers = {"WWW-Authenticate": "Bearer"} if self.code is Code.UNAUTHORIZED else None
        return Response(orjson.dumps(self.body()), self.status, headers, MEDIA_TYPE)
