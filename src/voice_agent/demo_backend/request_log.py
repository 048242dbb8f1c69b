"""What the shop was asked, in the process log."""

from __future__ import annotations

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_agent.clock import process_seconds

_log = structlog.get_logger(__name__)


class RequestLog:
    """One line for each request: which operation, how it was answered and how long that took; never for whom. ``status`` 0
    is no answer at all."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun_s = process_seconds()
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            operation = getattr(scope.get("route"), "operation_id", None) or "unknown"
            took_ms = round((process_seconds() - begun_s) * 1000, 1)
            _log.info("the shop was asked", operation=operation, status=status, took_ms=took_ms)
