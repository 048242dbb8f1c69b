"""``WS /ws/call``: the streaming door. The contract is docs/protocol.md.

Theory of operation. ``StreamingGateway`` is a bare ASGI application. Where the server offers it, audio goes beside ASGI
(``direct_frames.py``); what the call cannot take at once, text frames and the end come as ``receive``. Each connection is
one ``_Connection``: five tasks in one group (the call, the writer, the intake, the reader, and the deadline of a call that
was hung up). The call's own end is the only regular end: whatever else happens (a hang-up, a lost
or stalled client, a broken rule) becomes ``hang_up`` with a reason, and the call has ``HANG_UP_DEADLINE_S`` to return.
Then what is queued is flushed, the close frame says how it ended, and the ticket gives the place back.

A refused client is accepted first: a browser shows neither code nor reason of a refused handshake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, assert_never

import structlog
from starlette.datastructures import Headers

from voice_agent.agents.book import AgentBook
from voice_agent.call.door import Door, LiveCall
from voice_agent.clock import Clock
from voice_agent.conversation.agent import AgentProfile
from voice_agent.conversation.commands import EndCall
from voice_agent.conversation.machine import CallMachine, MachineSettings
from voice_agent.errors import CallerError
from voice_agent.gateway.access import bearer_token, origin_allowed, token_matches
from voice_agent.gateway.admission import Admission, Ticket
from voice_agent.gateway.busy import BUSY, BusyClip, busy_reason
from voice_agent.gateway.control import (
    MAX_TEXT_BYTES,
    ControlBudget,
    ControlError,
    HangUpAsked,
    KeyPressed,
    OutputResumed,
    PlaybackReported,
    parse_control,
)
from voice_agent.gateway.direct_frames import EXTENSION, DirectFrames
from voice_agent.gateway.intake import Intake
from voice_agent.gateway.outbox import Outbox
from voice_agent.gateway.parameters import CallParameters, call_parameters, parse_query
from voice_agent.gateway.wire import WireFold
from voice_agent.observability.record import LogRecord, RecordSink

HANG_UP_DEADLINE_S = 10.0  # a call that has not returned by then is cancelled
FLUSH_DEADLINE_S = 2.0
MAX_MALFORMED_FRAMES = 20
MAX_REASON_BYTES = 123  # RFC 6455 §5.5: a close frame's payload is at most 125 bytes, two of them the code

# Close codes (RFC 6455 §7.4.1; 1013 is registered with IANA).
NORMAL, GOING_AWAY, UNSUPPORTED, POLICY, TOO_BIG, INTERNAL = 1000, 1001, 1003, 1008, 1009, 1011

_CLOSED_BY_CLIENT = frozenset({1000, 1001, 1005})
_BROKEN_PROTOCOL = frozenset({1002, 1003, 1007, 1009})
_SERVER_STOPS = 1012

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger(__name__)


class OpenCall(Protocol):
    """Makes a call that is not yet running. ``locale`` is what the client asked for; ``extra_sinks`` get every record
    of the call's event log, from the first one on."""

    def __call__(
        self,
        *,
        door: Door,
        agent: AgentProfile,
        caller_id: str,
        locale: str,
        ticket: Ticket,
        extra_sinks: Sequence[RecordSink],
    ) -> LiveCall: ...


class StreamingGateway:
    """An ASGI application for WebSocket connections; one instance serves them all."""

    def __init__(
        self,
        *,
        admission: Admission,
        open_call: OpenCall,
        clock: Clock,
        machine_settings: MachineSettings,
        agents: AgentBook,
        access_token: str = "",
        allowed_origins: Collection[str] = (),
        busy_clip: BusyClip | None = None,
    ) -> None:
        self._busy_clip = busy_clip
        self._admission = admission
        self._open_call = open_call
        self._clock = clock
        self._machine_settings = machine_settings
        self._agents = agents
        self._access_token = access_token
        self._allowed_origins = frozenset(origin.rstrip("/") for origin in allowed_origins)
        self._connections: set[_Connection] = set()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        with suppress(OSError):  # the client may be gone before it is accepted
            self._admission.end_handshake()
            await send({"type": "websocket.accept"})
            try:
                parameters = self._checked(scope)
                agent = self._agents.choose(parameters.agent, parameters.called)
            except CallerError as error:
                await self._refuse(send, error.close_code, str(error))
                return
            ticket = self._admission.try_admit()
            if isinstance(ticket, str):
                await self._busy(send, parameters, busy_reason(ticket))
                return
            with ticket:
                direct = scope.get("extensions", {}).get(EXTENSION)
                await self._serve(parameters, agent, ticket, receive, send, direct)

    async def shut_down(self, timeout_s: float) -> None:
        """Admits no more calls, gives those that run ``timeout_s`` to end, then hangs up the rest (close code 1001)."""
        self._admission.drain()
        if await self._admission.drained(timeout_s):
            return
        for connection in tuple(self._connections):
            connection.hang_up("shutdown")
        await self._admission.drained(HANG_UP_DEADLINE_S + FLUSH_DEADLINE_S)

    def _checked(self, scope: MutableMapping[str, Any]) -> CallParameters:
        headers = Headers(scope=scope)
        if not origin_allowed(headers.get("origin", ""), headers.get("host", ""), self._allowed_origins):
            raise CallerError("origin: this page may not open calls here (see ALLOWED_ORIGINS)")
        query = parse_query(scope["query_string"].decode("latin-1"))
        token = bearer_token(headers.get("authorization", "")) or query.get("token", "")
        if not token_matches(self._access_token, token):
            raise CallerError("token: wrong access token" if token else "token: an access token is required")
        return call_parameters(query)

    async def _refuse(self, send: Send, code: int, reason: str) -> None:
        log.info("call refused", code=code, reason=reason)
        await send({"type": "websocket.close", "code": code, "reason": _fitting(reason)})

    async def _busy(self, send: Send, parameters: CallParameters, reason: str) -> None:
        if self._busy_clip is not None:
            await self._busy_clip.say(send, parameters.out_rate_hz)
        await send({"type": "websocket.close", "code": BUSY, "reason": reason})

    async def _serve(
        self,
        parameters: CallParameters,
        agent: AgentProfile,
        ticket: Ticket,
        receive: Receive,
        send: Send,
        direct: DirectFrames | None,
    ) -> None:
        connection = _Connection(parameters, agent, receive, send, direct, self._clock, self._machine_settings)
        self._connections.add(connection)
        try:
            await connection.run(self._open_call, ticket)
        finally:
            self._connections.discard(connection)


class _Connection:
    """One admitted client and its call."""

    def __init__(
        self,
        parameters: CallParameters,
        agent: AgentProfile,
        receive: Receive,
        send: Send,
        direct: DirectFrames | None,
        clock: Clock,
        machine_settings: MachineSettings,
    ) -> None:
        self._parameters = parameters
        self._agent = agent
        self._receive = receive
        self._send = send
        self._direct = direct
        self._clock = clock
        rates = {"in_rate_hz": parameters.in_rate_hz, "out_rate_hz": parameters.out_rate_hz}
        machine = CallMachine(agent.machine_settings(machine_settings))
        self._fold = WireFold(machine=machine, **rates) if parameters.events else None
        self._outbox = Outbox(
            send,
            out_rate_hz=parameters.out_rate_hz,
            events=parameters.events,
            call_time=self._call_time,
            on_broken=self._on_broken,
            direct=direct,
        )
        self._call: LiveCall | None = None
        self._hanging_up = asyncio.Event()
        self._end: EndCall | None = None
        self._began = clock.now()
        self._logged = False
        self._close: tuple[int, str] | None = None
        self._client_gone = False
        self._malformed = 0
        self._control_budget = ControlBudget(clock.now())

    async def run(self, open_call: OpenCall, ticket: Ticket) -> None:
        """Returns when the call is over and the connection closed or given up."""
        try:
            self._call = open_call(
                door=self._outbox,
                agent=self._agent,
                caller_id=self._parameters.caller_id,
                locale=self._parameters.locale,
                ticket=ticket,
                extra_sinks=(ticket.observe, self._observe),
            )
            await self._converse(self._call)
        except Exception:
            log.exception("call failed at the door", call_id=ticket.entry.call_id)
            self._close = (INTERNAL, "the call failed on the server")
        await self._finish()

    def hang_up(self, reason: str) -> None:
        """Asks the call to end; the first reason counts."""
        if not self._hanging_up.is_set() and self._call is not None:
            self._hanging_up.set()
            self._call.hang_up(reason)

    async def _converse(self, call: LiveCall) -> None:
        intake = Intake(call.hear, in_rate_hz=self._parameters.in_rate_hz, clock=self._clock)
        if self._direct is not None:
            self._direct.take_audio(lambda frame: self._take_audio(intake, frame))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self._run(call), name="call")
            helpers = [
                group.create_task(self._outbox.run(), name="call-writer"),
                group.create_task(intake.run(), name="call-intake"),
                group.create_task(self._read(call, intake), name="call-reader"),
                group.create_task(self._enforce_end(running), name="call-deadline"),
            ]
            await asyncio.wait([running])
            if running.cancelled():
                log.error("call did not end in time and was cancelled")
                self._close = (INTERNAL, "the call did not end in time")
            self._say_end()
            self._outbox.seal()
            await self._outbox.flushed(FLUSH_DEADLINE_S)
            for helper in helpers:
                helper.cancel()

    async def _run(self, call: LiveCall) -> None:
        try:
            await call.run()
        except Exception:
            log.exception("call failed")
            self._close = (INTERNAL, "the call failed on the server")

    async def _enforce_end(self, running: asyncio.Task[None]) -> None:
        await self._hanging_up.wait()
        await asyncio.sleep(HANG_UP_DEADLINE_S)
        running.cancel()

    # In

    def _take_audio(self, intake: Intake, frame: bytes) -> bool:
        try:
            return intake.offer(frame)
        except Exception:
            log.exception("call failed on its audio")
            self._close = (INTERNAL, "the call failed on the server")
            self.hang_up("error")
            return True

    async def _read(self, call: LiveCall, intake: Intake) -> None:
        try:
            while True:
                await intake.room()
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self._client_gone = True
                    self.hang_up(_disconnect_reason(message))
                    return
                data = message.get("bytes")
                if data is not None:
                    intake.push(data)
                else:
                    self._control(call, message.get("text") or "")
        except CallerError as error:
            self._close = (error.close_code, str(error))
            self.hang_up("protocol")

    def _control(self, call: LiveCall, text: str) -> None:
        if not self._parameters.events:
            raise CallerError("text frame: only calls with events=1 take them", close_code=UNSUPPORTED)
        if len(text.encode()) > MAX_TEXT_BYTES:
            raise CallerError(f"text frame: at most {MAX_TEXT_BYTES} bytes are allowed", close_code=TOO_BIG)
        if not self._control_budget.take(self._clock.now()):
            raise CallerError("text frame: too many in too short a time")
        try:
            frame = parse_control(text)
        except ControlError as error:
            self._not_understood(error)
            return
        match frame:
            case KeyPressed(key=key):
                call.press(key)
            case PlaybackReported(reply_id=reply_id, played_s=played_s):
                call.acknowledge(reply_id, played_s)
            case OutputResumed():
                call.resume()
            case HangUpAsked():
                self.hang_up("hangup")
            case _:
                assert_never(frame)

    def _not_understood(self, error: ControlError) -> None:
        self._malformed += 1
        if self._malformed > MAX_MALFORMED_FRAMES:
            raise CallerError(f"text frame: more than {MAX_MALFORMED_FRAMES} were not understood")
        self._outbox.send_text({"type": "error", "code": error.code, "message": str(error)})

    # Out

    def _observe(self, record: LogRecord) -> None:
        if not self._logged:  # the call began when its log says so
            self._logged = True
            self._began = self._clock.now() - record.t_s
        if isinstance(record.entry, EndCall):
            self._end = record.entry
        if self._fold is not None:
            for frame in self._fold.frames(record):
                self._outbox.send_text(frame)

    def _call_time(self) -> float:
        return self._clock.now() - self._began

    def _on_broken(self, why: str) -> None:
        if why == "overflow":
            self._close = (POLICY, "overflow: the client takes its audio too slowly")
        self.hang_up(why)

    def _say_end(self) -> None:
        """A call that broke off has no end in its log; the client gets one all the same."""
        if self._end is None:
            self._outbox.send_text({"type": "end", "outcome": "error", "reason": "error"})

    async def _finish(self) -> None:
        if self._client_gone:
            return
        code, reason = self._close or _ending(self._end)
        with suppress(OSError, RuntimeError):  # gone, or being closed by the server already
            async with asyncio.timeout(FLUSH_DEADLINE_S):
                await self._send({"type": "websocket.close", "code": code, "reason": _fitting(reason)})


def _ending(end: EndCall | None) -> tuple[int, str]:
    """Close code and reason for a call that ended by itself."""
    match end.reason if end is not None else "error":
        case "shutdown":
            return GOING_AWAY, "the server is shutting down"
        case "error" | "overflow":
            return INTERNAL, "the call failed on the server"
        case reason:
            return NORMAL, reason


def _disconnect_reason(message: Message) -> str:
    """Why a connection ended. The server gives a ``reason`` only where a close frame was received or sent."""
    code = message.get("code")
    if code == _SERVER_STOPS:
        return "shutdown"
    if "reason" not in message:
        return "lost"
    if code in _CLOSED_BY_CLIENT:
        return "hangup"
    return "protocol" if code in _BROKEN_PROTOCOL else "lost"


def _fitting(reason: str) -> str:
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
