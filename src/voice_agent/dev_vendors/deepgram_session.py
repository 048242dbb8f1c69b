"""A listening session of the Deepgram stand-in, whichever version of the protocol: the upgrade, audio in, messages out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_agent.audio.resample import Resampler
from voice_agent.dev_vendors.deepgram_door import Line, Query, RefusedError, admit, new_id, recycled
from voice_agent.dev_vendors.deepgram_engine import Ear, HearingEngine, Listener, Take
from voice_agent.dev_vendors.deepgram_manners import NO_SUCH_AUDIO
from voice_agent.dev_vendors.desk import Mark, VendorDesk
from voice_agent.dev_vendors.faults import Stage


class ListeningSession(Listener, Protocol):
    """One protocol's side of a session. ``resampler``: ``None`` where no audio can be decoded."""

    resampler: Resampler | None
    locale: str
    hints: tuple[str, ...]

    def open(self, ear: Ear) -> None:
        """The client was let in."""

    def command(self, text: str) -> None:
        """A text message came."""

    def close_stream(self) -> None:
        """No more audio comes: say the rest, then close."""


async def serve_listening(
    socket: WebSocket, desk: VendorDesk, engine: HearingEngine, make: Callable[[Query, Line], ListeningSession]
) -> None:
    """One session from the upgrade to its end. ``make`` raises ``RefusedError`` for what the vendor would not serve."""
    exchange = desk.open(Stage.ASR, f"{socket.url.path}?{socket.url.query}")
    line = Line(socket, exchange, new_id())
    try:
        admit(socket, exchange)
        session = make(Query(socket.query_params), line)
    except RefusedError as refusal:
        exchange.note(Mark.REFUSED, f"{refusal.status} {refusal}")
        await socket.send_denial_response(refusal.response(line.request_id))
        return
    subprotocol = socket.headers.get("sec-websocket-protocol", "").partition(",")[0].strip() or None
    await socket.accept(subprotocol, [(b"dg-request-id", line.request_id.encode())])
    async with engine.open(session, locale=session.locale, hints=session.hints) as ear:
        session.open(ear)
        sending = asyncio.create_task(line.sending(), name="deepgram-sending")
        hearing = asyncio.create_task(_hear(line, session, ear), name="deepgram-hearing")
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            both = {sending, hearing}
            for task in both:
                task.cancel()
            await asyncio.wait(both)
    for task in (sending, hearing):
        if not task.cancelled():
            task.result()  # a defect of ours is heard of


async def _hear(line: Line, session: ListeningSession, ear: Ear) -> None:
    """Takes the client's messages until it has gone."""
    ended = False
    heard_s = 0.0
    while True:
        try:
            message = await line.receive()
        except (WebSocketDisconnect, RuntimeError):  # starlette's two ways to say that it is over
            return
        if message is None:
            if not line.closing:
                line.exchange.note(Mark.CLOSED if ended else Mark.CLIENT_GONE, "by the client")
            return
        if ended or line.closing:
            continue
        if isinstance(message, str):
            if _kind(message) == "CloseStream":
                ended = True
                session.close_stream()
            else:
                session.command(message)
        elif not message:  # the older way to end a stream
            ended = True
            session.close_stream()
        elif session.resampler is None:
            line.close(1008, NO_SUCH_AUDIO)
        else:
            heard_s += len(message) / 2 / session.resampler.in_hz
            await ear.hear(session.resampler.process(message))
            if recycled(line, heard_s):
                line.recycle()


def parsed(text: str) -> dict[str, Any] | str:
    """A client's message; where it is none, what is wrong with it, in the vendor's words."""
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return "expected value at line 1 column 1"
    if not isinstance(message, dict):
        return f"invalid type: {type(message).__name__}, expected internally tagged enum"
    if not isinstance(message.get("type"), str):
        return "missing field `type`"
    return message


def _kind(text: str) -> str:
    message = parsed(text)
    return message["type"] if isinstance(message, dict) else ""


def spread(take: Take) -> list[tuple[str, float, float]]:
    """The words of a take with their times: its speech is shared out by letters (and one for the gap behind each)."""
    return spread_words(take.text.split(), take.speech_start_s, take.speech_end_s)


def spread_words(words: Sequence[str], start_s: float, end_s: float) -> list[tuple[str, float, float]]:
    """``(word, start, end)`` in seconds of the stream, rising, to the millisecond."""
    letters = sum(len(word) + 1 for word in words)
    per_letter_s = (end_s - start_s) / letters if letters else 0.0
    found, at_s = [], start_s
    for word in words:
        found.append((word, round(at_s, 3), round(at_s + len(word) * per_letter_s, 3)))
        at_s += (len(word) + 1) * per_letter_s
    return found


def told_as_vendor(description: str) -> str:
    return f"Could not deserialize last text message: {description}"
