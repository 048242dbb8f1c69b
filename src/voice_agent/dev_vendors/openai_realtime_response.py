"""One spoken answer in a Realtime session: its events, from ``response.created`` to ``response.done``."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, Final, Protocol

from voice_agent.dev_vendors.desk import Exchange, Mark
from voice_agent.dev_vendors.faults import Fault
from voice_agent.dev_vendors.openai_realtime_events import Item
from voice_agent.dev_vendors.openai_speech import spoken
from voice_agent.dev_vendors.openai_wire import ApiError, new_id

_PIECE_BYTES: Final = 4_800  # a tenth of a second a message
_WORDS_A_PIECE: Final = 3  # the transcript runs ahead of the audio
_PASSED_PIECES: Final = 2  # pieces of audio before a fault that strikes the middle of an answer does


class Conversation(Protocol):
    """The session an answer is given in."""

    async def send(self, event: str, **fields: Any) -> None: ...

    async def send_garbage(self) -> None: ...

    def recycle(self) -> None: ...

    def add_item(self, item_id: str, item: Item) -> None: ...


class Response:
    """One answer and its events."""

    def __init__(self, session: Conversation, exchange: Exchange, text: str, *, in_conversation: bool) -> None:
        self.cancelled = asyncio.Event()
        self._session = session
        self._exchange = exchange
        self._text = text
        self._in_conversation = in_conversation
        self._id = new_id("resp")
        self._item_id = new_id("item")
        self._at = {"response_id": self._id, "item_id": self._item_id, "output_index": 0, "content_index": 0}
        self._said: list[str] = []  # parts of the transcript that were sent
        self._audio_bytes = 0

    async def run(self, error: ApiError | None) -> None:
        """From ``response.created`` to ``response.done``; ``error``: it fails at once."""
        await self._session.send("response.created", response=self._shown("in_progress"))
        if error is not None:
            told = {"type": error.type, "code": error.code, "message": error.message}
            await self._done("failed", {"type": "failed", "error": told})
            return
        if self._exchange.fault is Fault.EMPTY:
            await self._done("completed", None)
            return
        await self._begin_item()
        speaking = asyncio.create_task(self._speak(), name="realtime-speak")
        cancelling = asyncio.create_task(self.cancelled.wait(), name="realtime-cancelled")
        try:
            await asyncio.wait((speaking, cancelling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (speaking, cancelling):
                task.cancel()
            await asyncio.wait((speaking, cancelling))
        if not speaking.cancelled() and not speaking.result():
            return
        await self._end_item(whole=not speaking.cancelled())
        if speaking.cancelled():
            await self._done("cancelled", {"type": "cancelled", "reason": "client_cancelled"})
        else:
            await self._done("completed", None)

    async def _speak(self) -> bool:
        """Transcript and audio; false where a fault ended the answer."""
        words = re.findall(r"\s*\S+", self._text)
        sent = 0
        async with aclosing(self._exchange.paced(spoken(self._exchange, self._text, _PIECE_BYTES))) as pieces:
            async for piece in pieces:
                fault = self._exchange.fault if sent >= _PASSED_PIECES else None
                if fault is Fault.RECYCLED:
                    self._session.recycle()
                    return False
                if fault is Fault.GARBAGE_JSON:
                    await self._session.send_garbage()
                    return False
                self._exchange.sent_content("audio")
                if said := "".join(words[sent * _WORDS_A_PIECE : (sent + 1) * _WORDS_A_PIECE]):
                    await self._say(said)
                self._audio_bytes += len(piece)
                self._exchange.note(Mark.SENT, f"audio {len(piece)} bytes")
                delta = base64.b64encode(piece).decode()
                await self._session.send("response.output_audio.delta", **self._at, delta=delta)
                sent += 1
        if rest := "".join(words[sent * _WORDS_A_PIECE :]):
            await self._say(rest)
        return True

    async def _say(self, words: str) -> None:
        self._said.append(words)
        await self._session.send("response.output_audio_transcript.delta", **self._at, delta=words)

    async def _begin_item(self) -> None:
        item = self._item("in_progress", [])
        at = {"response_id": self._id, "output_index": 0}
        await self._session.send("response.output_item.added", **at, item=item)
        if self._in_conversation:
            await self._session.send("conversation.item.added", previous_item_id=None, item=item)
        part = {"type": "audio", "transcript": ""}
        await self._session.send("response.content_part.added", **self._at, part=part)

    async def _end_item(self, *, whole: bool) -> None:
        transcript = "".join(self._said)
        send = self._session.send
        await send("response.output_audio.done", **self._at)
        await send("response.output_audio_transcript.done", **self._at, transcript=transcript)
        await send("response.content_part.done", **self._at, part={"type": "audio", "transcript": transcript})
        item = self._item("completed" if whole else "incomplete", self._content())
        await send("response.output_item.done", response_id=self._id, output_index=0, item=item)
        if self._in_conversation:
            await send("conversation.item.done", previous_item_id=None, item=item)
            said = Item.model_validate({"type": "message", "role": "assistant", "content": self._content()})
            self._session.add_item(self._item_id, said)

    async def _done(self, status: str, details: Mapping[str, Any] | None) -> None:
        text_tokens = len(self._text.split())
        audio_tokens = self._audio_bytes // _PIECE_BYTES
        usage = {
            "input_tokens": text_tokens,
            "output_tokens": text_tokens + audio_tokens,
            "total_tokens": 2 * text_tokens + audio_tokens,
            "input_token_details": {"text_tokens": text_tokens, "audio_tokens": 0, "cached_tokens": 0},
            "output_token_details": {"text_tokens": text_tokens, "audio_tokens": audio_tokens},
        }
        response = self._shown(status) | {"status_details": details, "usage": usage}
        self._exchange.note(Mark.LAST_BYTE, status)
        await self._session.send("response.done", response=response)

    def _shown(self, status: str) -> dict[str, Any]:
        item_status = "completed" if status == "completed" else "incomplete"
        return {
            "object": "realtime.response",
            "id": self._id,
            "status": status,
            "status_details": None,
            "output": [self._item(item_status, self._content())] if self._said else [],
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "usage": None,
            "metadata": None,
        }

    def _item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        kind = {"id": self._item_id, "object": "realtime.item", "type": "message", "role": "assistant"}
        return {**kind, "status": status, "content": content}

    def _content(self) -> list[dict[str, Any]]:
        return [{"type": "output_audio", "transcript": "".join(self._said)}]
