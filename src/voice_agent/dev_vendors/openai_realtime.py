"""``WS /v1/realtime`` as a synthesiser uses it: text in, spoken answer out.

https://platform.openai.com/docs/guides/realtime. The model here reads aloud what it is given: the newest user text of the
conversation, or of the response's own ``input``; or, where there is none, its instructions. In each, what stands between
``<text>`` and ``</text>`` (or in triple quotes) is meant, if there is such a thing. ``VendorDesk.reword`` makes it say
something else. Audio in is not taken, and answers in text alone are not given.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_agent.clock import LoopClock
from voice_agent.dev_vendors.desk import Exchange, Mark, VendorDesk
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.openai_realtime_events import (
    Client,
    CreateItem,
    CreateResponse,
    DeleteItem,
    Item,
    Query,
    UpdateSession,
)
from voice_agent.dev_vendors.openai_realtime_response import Response
from voice_agent.dev_vendors.openai_speech import SPEECH_RATE_HZ
from voice_agent.dev_vendors.openai_wire import ApiError, check_key, checked, fault_error, new_id

SESSION_S: Final = 3600.0
_BROKEN: Final = '{"type": "response.output_audio.delta", "delta": "UklG'
_MEANT: Final = re.compile(r'<text>\s*(.*?)\s*</text>|"""\s*(.*?)\s*"""', re.DOTALL)
_POLICY_CLOSE: Final = 1008
_TRY_AGAIN_CLOSE: Final = 1001


async def serve_realtime(socket: WebSocket, desk: VendorDesk) -> None:
    """One session, from the handshake to its end."""
    exchange = desk.open(Stage.TTS, "WS /v1/realtime")
    try:
        if (error := fault_error(exchange)) is not None:
            raise error
        check_key(desk, socket.headers)
        model = checked(Query, dict(socket.query_params)).model
    except ApiError as error:
        exchange.note(Mark.REFUSED, f"{error.status} {error.code or error.type}")
        await socket.send_denial_response(error.response())
        return
    await socket.accept()
    with suppress(WebSocketDisconnect, RuntimeError):  # the client went while something was being sent
        await _Session(socket, exchange, model).run()
    exchange.note(Mark.CLOSED)


class _Session:
    """A conversation: one answer at a time, cancellable. A ``RECYCLED`` vendor ends it whatever is under way."""

    def __init__(self, socket: WebSocket, exchange: Exchange, model: str) -> None:
        self._socket = socket
        self._exchange = exchange
        self._items: list[tuple[str, Item]] = []
        self._answer: asyncio.Task[None] | None = None
        self._response: Response | None = None
        self._recycled = asyncio.Event()
        self._sending = asyncio.Lock()
        self._session: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": new_id("sess"),
            "model": model,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "expires_at": int(LoopClock().wall().timestamp() + SESSION_S),
            "audio": {
                "input": {"format": {"type": "audio/pcm", "rate": SPEECH_RATE_HZ}, "turn_detection": None},
                "output": {"format": {"type": "audio/pcm", "rate": SPEECH_RATE_HZ}, "voice": "alloy", "speed": 1.0},
            },
        }

    async def run(self) -> None:
        """Serves until either side closes. Raises ``WebSocketDisconnect`` where the client went while it was sent to."""
        stop = self._exchange.desk.faults.listen(self._on_fault)
        tasks = [
            asyncio.create_task(self._receive(), name="realtime-receive"),
            asyncio.create_task(self._recycled.wait(), name="realtime-recycled"),
        ]
        try:
            await self.send("session.created", session=self._session)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not tasks[0].done():
                await self._stop_answer()
                await self._expire()
        finally:
            stop()
            for task in tasks:
                task.cancel()
            if await self._stop_answer():
                self._exchange.note(Mark.CLIENT_GONE)
            await asyncio.wait(tasks)
        if not tasks[0].cancelled():
            tasks[0].result()

    async def send(self, event: str, **fields: Any) -> None:
        """One event. Raises ``WebSocketDisconnect`` or ``RuntimeError`` where the client has gone."""
        if event != "response.output_audio.delta":  # the journal has its own entry for audio
            self._exchange.note(Mark.SENT, event)
        await self._send_text(orjson.dumps({"type": event, "event_id": new_id("event"), **fields}).decode())

    async def send_garbage(self) -> None:
        self._exchange.note(Mark.SENT, "garbage")
        await self._send_text(_BROKEN)

    async def send_error(self, error: ApiError, event_id: str | None = None) -> None:
        await self.send("error", error={**error.body(), "event_id": event_id})

    def add_item(self, item_id: str, item: Item) -> None:
        self._items.append((item_id, item))

    async def _send_text(self, text: str) -> None:
        async with self._sending:
            await self._socket.send_text(text)

    def _on_fault(self, stage: Stage) -> None:
        if stage is Stage.TTS and self._exchange.fault is Fault.RECYCLED:
            self.recycle()

    def recycle(self) -> None:
        """The vendor has had enough of this session."""
        self._recycled.set()

    async def _expire(self) -> None:
        minutes = round(SESSION_S / 60)
        error = ApiError(
            0, f"Your session hit the maximum duration of {minutes} minutes.", code="session_expired", param=None
        )
        with suppress(WebSocketDisconnect, RuntimeError):
            await self.send_error(error)
            await self._socket.close(_TRY_AGAIN_CLOSE, "session expired")

    async def _receive(self) -> None:
        """The client's events, until it closes."""
        while (message := await self._socket.receive())["type"] != "websocket.disconnect":
            event_id: str | None = None
            try:
                content = _parsed(message.get("text"))
                event_id = content["event_id"] if isinstance(content.get("event_id"), str) else None
                kind = checked(Client, content).type
                self._exchange.note(Mark.RECEIVED, kind)
                await self._handle(kind, content)
            except ApiError as error:
                await self.send_error(error, event_id)
                if error.status == 401:
                    await self._socket.close(_POLICY_CLOSE, "invalid_api_key")
                    return

    async def _handle(self, kind: str, content: Mapping[str, Any]) -> None:
        match kind:
            case "session.update":
                _merge(self._session, checked(UpdateSession, content).changes)
                await self.send("session.updated", session=self._session)
            case "conversation.item.create":
                await self._create_item(checked(CreateItem, content).item)
            case "conversation.item.delete":
                await self._delete_item(checked(DeleteItem, content).item_id)
            case "response.create":
                await self._create_response(checked(CreateResponse, content))
            case "response.cancel":
                self._cancel()
            case _:
                raise ApiError(
                    400,
                    "This local server reads text aloud, and takes no audio.",
                    code="unsupported_event",
                    param="type",
                )

    async def _create_item(self, item: Item) -> None:
        item_id = item.id or new_id("item")
        previous = self._items[-1][0] if self._items else None
        self.add_item(item_id, item)
        shown = {**item.model_dump(exclude_none=True), "id": item_id, "object": "realtime.item", "status": "completed"}
        await self.send("conversation.item.added", previous_item_id=previous, item=shown)
        await self.send("conversation.item.done", previous_item_id=previous, item=shown)

    async def _delete_item(self, item_id: str) -> None:
        kept = [pair for pair in self._items if pair[0] != item_id]
        if len(kept) == len(self._items):
            raise ApiError(400, f"Item with id '{item_id}' does not exist.", code="item_not_found", param="item_id")
        self._items = kept
        await self.send("conversation.item.deleted", item_id=item_id)

    async def _create_response(self, asked: CreateResponse) -> None:
        if self._answer is not None and not self._answer.done():
            raise ApiError(
                400,
                "Conversation already has an active response in progress.",
                code="conversation_already_has_active_response",
            )
        wanted = asked.response
        modalities = wanted.output_modalities or self._session["output_modalities"]
        if modalities != ["audio"]:
            raise ApiError(
                400,
                "This local server answers in audio alone: ask for output_modalities ['audio'].",
                code="unsupported_value",
                param="response.output_modalities",
            )
        self._exchange.begin()
        if (error := fault_error(self._exchange)) is not None and error.status == 401:
            raise error
        items = wanted.input if wanted.input is not None else [item for _, item in self._items]
        text = text_to_read(items, wanted.instructions or self._session["instructions"])
        reword = self._exchange.desk.reword
        in_conversation = wanted.conversation != "none"
        response = Response(self, self._exchange, reword(text) if reword else text, in_conversation=in_conversation)
        self._response = response
        self._answer = asyncio.create_task(self._run_response(response, error), name="realtime-response")

    async def _run_response(self, response: Response, error: ApiError | None) -> None:
        try:
            await response.run(error)
        except (WebSocketDisconnect, RuntimeError):
            return  # the client has gone: the receiver sees it as well

    def _cancel(self) -> None:
        if self._answer is None or self._answer.done() or self._response is None:
            raise ApiError(
                400, "Cancellation failed: no active response found.", code="response_cancel_not_active", param=None
            )
        self._exchange.note(Mark.CLIENT_GONE, "response.cancel")
        self._response.cancelled.set()

    async def _stop_answer(self) -> bool:
        """Ends an answer under way; false where there was none."""
        task = self._answer
        if task is None or task.done():
            return False
        task.cancel()
        await asyncio.wait({task})
        return True


def text_to_read(items: list[Item], instructions: str) -> str:
    """What a model that is asked to read aloud would say."""
    for item in reversed(items):
        if item.role == "user" and (text := item.text):
            return _meant(text)
    return _meant(instructions)


def _meant(text: str) -> str:
    found = _MEANT.findall(text)
    return (found[-1][0] or found[-1][1]) if found else text.strip()


def _parsed(text: str | None) -> dict[str, Any]:
    try:
        content = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise ApiError(400, "A client event must be a JSON object in a text message.", code="invalid_json")
    return content


def _merge(session: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Objects are merged, everything else is replaced."""
    for name, value in changes.items():
        mine = session.get(name)
        if isinstance(mine, dict) and isinstance(value, dict):
            _merge(mine, value)
        else:
            session[name] = value
