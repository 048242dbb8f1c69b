"""The HTTP application: health, readiness, metrics, the operator's API, the console, and the doors for calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response, status
from fastapi.responses import FileResponse, PlainTextResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.routing import WebSocketRoute
from starlette.staticfiles import StaticFiles

from voice_agent.agents.book import AgentBook
from voice_agent.conversation.agent import AgentProfile
from voice_agent.gateway.access import bearer_token, token_matches
from voice_agent.gateway.admission import AdmissionStatus, CallEntry, CallPhase, ServerStatus

CONSOLE = Path(__file__).resolve().parent.parent / "console"

# https://prometheus.io/docs/instrumenting/exposition_formats/#basic-info
METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Everything the pages need comes from this server; connect-src 'self' covers WebSockets to the same host.
SECURITY_HEADERS: Mapping[bytes, bytes] = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"microphone=(self), camera=(), geolocation=()",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class Register(Protocol):
    """The server's calls: ``Admission`` where one process is the server, ``ServerView`` where it is one of several."""

    def status(self) -> AdmissionStatus: ...

    def calls(self) -> list[CallEntry]: ...


class Metrics(Protocol):
    """The server's figures. ``render`` gives the Prometheus text format and runs in a thread: it may take tens of ms."""

    def render(self) -> bytes: ...


class HealthBody(BaseModel):
    status: str = Field(examples=["ok"])


class ReadyBody(BaseModel):
    """Whether the next call would be admitted, and why not."""

    status: ServerStatus
    reason: str = Field(description="empty while calls are admitted")
    active_sessions: int
    capacity: int
    uptime_s: float


class CallBody(BaseModel):
    """One call. It says nothing of who called or what was said."""

    id: str = Field(description="the call id of logs and metrics; empty until the call has begun")
    state: CallPhase
    locale: str
    agent: str = Field(description="the agent that takes the call")
    since: datetime
    ended: datetime | None
    outcome: str = Field(description="completed, escalated, error or abandoned, once the call has ended")
    reason: str = Field(description="why it ended, a short code")


class AgentBody(BaseModel):
    """One agent: what ``agent=`` of a call may name."""

    name: str
    title: str
    numbers: tuple[str, ...] = Field(description="the telephone numbers it answers")
    locale: str = Field(description="of callers who name none; empty: the server's")
    default: bool = Field(description="whether it answers calls that name neither an agent nor a number")


class AgentsBody(BaseModel):
    agents: list[AgentBody]


class CallsBody(BaseModel):
    calls: list[CallBody] = Field(description="active calls, oldest first, then ended ones, newest first")


def create_http_app(
    *,
    admission: Register,
    agents: AgentBook,
    metrics: Metrics,
    doors: Mapping[str, AsgiApp],
    version: str,
    access_token: str = "",
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """``doors`` maps paths to ASGI applications for WebSocket calls (``{"/ws/call": StreamingGateway(…)}``). Further
    routers may be included in what is returned; below /api they want ``Depends(require_token(access_token))``."""
    app = FastAPI(
        title="Voice agent",
        version=version,
        description="Operator's API of the voice agent server. Calls come in over WebSocket: see docs/protocol.md.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from a third party; /docs is ours
        redoc_url=None,
    )
    app.add_middleware(SecurityHeaders)
    app.include_router(_public_router(admission, metrics))
    app.include_router(_api_router(admission, agents), dependencies=[Depends(require_token(access_token))])
    for path, door in doors.items():
        app.router.routes.append(WebSocketRoute(path, _Door(door)))
    _add_pages(app)
    return app


def require_token(access_token: str) -> Callable[[Request], None]:
    """A dependency that answers 401 to a request without the access token (none is needed where it is empty)."""

    def check(request: Request) -> None:
        if not token_matches(access_token, bearer_token(request.headers.get("authorization", ""))):
            raise HTTPException(
                status.HTTP_401_UNAUTHORIZED,
                "an access token is required: Authorization: Bearer …",
                headers={"WWW-Authenticate": "Bearer"},
            )

    return check


def _public_router(admission: Register, metrics: Metrics) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/health")
    async def health() -> HealthBody:
        """Liveness: the process answers."""
        return HealthBody(status="ok")

    @router.get("/ready", responses={503: {"model": ReadyBody, "description": "no call can be admitted now"}})
    async def ready(response: Response) -> ReadyBody:
        """Readiness: 200 while a call would be admitted, 503 while starting, overloaded or draining."""
        now = admission.status()
        if now.status is not ServerStatus.READY:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        return ReadyBody(
            status=now.status,
            reason=now.reason,
            active_sessions=now.active,
            capacity=now.capacity,
            uptime_s=round(now.uptime_s, 3),
        )

    @router.get("/metrics", response_class=PlainTextResponse)
    async def prometheus_metrics() -> Response:
        """All metrics in the Prometheus text format."""
        return Response(await run_in_threadpool(metrics.render), media_type=METRICS_CONTENT_TYPE)

    return router


def _api_router(admission: Register, agents: AgentBook) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["calls"], responses={401: {"description": "the access token is missing"}})

    @router.get("/calls")
    async def calls(limit: Annotated[int, Query(ge=0, le=1000)] = 100) -> CallsBody:
        """Active and recent calls."""
        return CallsBody(calls=[_call_body(entry) for entry in admission.calls()[:limit]])

    @router.get("/agents")
    async def all_agents() -> AgentsBody:
        """The agents that take calls."""
        return AgentsBody(agents=[_agent_body(agent, agents.default) for agent in agents.all()])

    return router


def _agent_body(agent: AgentProfile, default: AgentProfile) -> AgentBody:
    return AgentBody(
        name=agent.name,
        title=agent.title,
        numbers=agent.numbers,
        locale=agent.default_locale,
        default=agent.name == default.name,
    )


def _call_body(entry: CallEntry) -> CallBody:
    return CallBody(
        id=entry.call_id,
        state=entry.phase,
        locale=entry.locale,
        agent=entry.agent,
        since=entry.since,
        ended=entry.ended,
        outcome=entry.outcome,
        reason=entry.reason,
    )


def _add_pages(app: FastAPI) -> None:
    app.mount("/console", _Revalidated(directory=CONSOLE), name="console")

    @app.get("/", include_in_schema=False)
    async def console() -> FileResponse:
        return FileResponse(CONSOLE / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(CONSOLE / "docs.html", headers={"Cache-Control": "no-cache"})


class _Door:
    """Gives a route an object: a plain function would be taken for another kind of endpoint."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Revalidated(StaticFiles):
    """Static files that a browser keeps but asks about each time, so that a new version is seen at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


class SecurityHeaders:
    """ASGI middleware: adds ``SECURITY_HEADERS`` to every HTTP answer; WebSockets pass untouched."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS.items()]
            await send(message)

        await self._app(scope, receive, send_with_headers)
