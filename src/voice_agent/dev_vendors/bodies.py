"""The body of a request, as far as the vendors' stand-ins read one."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

MAX_BODY_BYTES = 4 * 1024 * 1024


async def body_of(request: Request) -> bytes | None:
    """The body, or None if it is longer than ``MAX_BODY_BYTES``. Raises ``ClientDisconnect`` where the client goes first."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def unread() -> Response:
    """What is answered to a client that is gone: the server framework wants an answer, and nobody reads it."""
    return Response(status_code=400)
