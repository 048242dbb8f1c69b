"""Sessions of the Realtime API over a WebSocket, as a voice that reads aloud uses them, and the ones kept open for it.

https://platform.openai.com/docs/guides/realtime (events and fields as in the API's release; the names of its beta's audio
events are understood too). A session does one reading at a time; each is out of band (``conversation: "none"``), so that
sessions hold no dialogue and any of them serves any call. The vendor ends a session after 60 minutes.
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import orjson

from voice_agent.clock import LoopClock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.openai_api.account import Account, encoded
from voice_agent.providers.openai_api.errors import failure_of, told_failure
from voice_agent.providers.openai_api.verbatim import VerbatimCheck
from voice_agent.providers.openai_api.voices import Voice
from voice_agent.providers.peer import empty_error, protocol_error, transport_error

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

SAMPLE_RATE_HZ: Final = 24_000
MODEL_VARIABLE: Final = "OPENAI_REALTIME_MODEL"
_AUDIO_MAX_BYTES: Final = 600 * SAMPLE_RATE_HZ * 2
_MESSAGE_MAX_BYTES: Final = 2**22
_SESSION_MAX_S: Final = 50 * 60.0  # the vendor's limit is 60 minutes; a reading begun before this ends before that
_IDLE_MAX: Final = 32  # sessions kept for the next sentence
_WARM_CONNECT_S: Final = 4.0  # nobody waits for a session that is opened ahead
_CLOSE_S: Final = 1.0
_FAREWELL_S: Final = 0.02  # leaving may take this long; then the connection is cut, which stops a vendor that hangs too

_AUDIO: Final = frozenset({"response.output_audio.delta", "response.audio.delta"})
_WORDS: Final = frozenset({"response.output_audio_transcript.delta", "response.audio_transcript.delta"})
_ALL_WORDS: Final = frozenset({"response.output_audio_transcript.done", "response.audio_transcript.done"})


@dataclass(frozen=True, slots=True)
class RealtimeSettings:
    """``speed`` is the API's, 0.25 to 1.5."""

    model: str
    voice: Voice
    instructions: str
    speed: float = 1.0

    def session(self) -> dict[str, Any]:
        """The session as ``session.update`` takes it: text in, audio out, nothing of its own accord."""
        output: dict[str, Any] = {"format": {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ}, "voice": self.voice}
        if self.speed != 1.0:
            output["speed"] = self.speed
        return {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": self.instructions,
            "audio": {"input": {"turn_detection": None}, "output": output},
        }


class RealtimeSession:
    """One connection that is ready to read. Not usable after a reading that was not finished."""

    def __init__(self, account: Account, settings: RealtimeSettings, socket: ClientConnection) -> None:
        self._account = account
        self._settings = settings
        self._socket = socket
        self._opened_s = LoopClock().now()
        self._reading = False

    @classmethod
    async def open(cls, account: Account, settings: RealtimeSettings, connect_s: float) -> RealtimeSession:
        """Connects within ``connect_s`` and sets the session up within as much again. Raises ``ProviderError``."""
        session = cls(account, settings, await _connected(account, settings.model, connect_s))
        try:
            async with asyncio.timeout(connect_s):
                await session._send({"type": "session.update", "session": settings.session()})
                while (await session._next())["type"] != "session.updated":
                    pass
        except BaseException as error:
            session.drop()
            if isinstance(error, TimeoutError):
                raise transport_error(account.peer, error, connect_s) from None
            raise
        return session

    @property
    def usable(self) -> bool:
        """Connected, between readings, and not about to be ended by the vendor."""
        from websockets.protocol import State

        young = LoopClock().now() - self._opened_s < _SESSION_MAX_S
        return young and not self._reading and self._socket.state is State.OPEN

    async def read_aloud(self, text: str, check: VerbatimCheck) -> AsyncGenerator[bytes, None]:
        """Audio as it comes, whole samples. Raises ``ProviderError``: also for a reading that strays from the text, as soon
        as that shows. Closed early, the session must be ended."""
        self._reading = True
        await self._send(_reading_of(text))
        odd = b""
        audio_bytes = 0
        transcript = ""
        while True:
            event = await self._next()
            kind = event["type"]
            if kind in _AUDIO:
                pcm = odd + self._decoded(event)
                odd = pcm[len(pcm) & ~1 :]
                audio_bytes += len(pcm) - len(odd)
                if audio_bytes > _AUDIO_MAX_BYTES:
                    raise protocol_error(self._account.peer, "sends audio without end")
                if len(pcm) > 1:
                    yield pcm[:-1] if odd else pcm
            elif kind in _WORDS:
                transcript += str(event.get("delta", ""))
                if check.strays(transcript):
                    raise self._strayed()
            elif kind in _ALL_WORDS:
                transcript = str(event.get("transcript", transcript))
            elif kind == "response.done":
                self._finished(event.get("response"), audio_bytes, is_read=check.is_read(transcript))
                self._reading = False
                return

    async def end(self) -> None:
        """Cancels a reading under way and closes; the vendor's farewell is waited for a little. Nothing of the connection is
        left afterwards, also where this is cancelled."""
        from websockets.exceptions import ConnectionClosed

        try:
            async with asyncio.timeout(_FAREWELL_S):
                if self._reading:
                    await self._socket.send('{"type":"response.cancel"}')
                await self._socket.close()
        except (TimeoutError, ConnectionClosed):
            pass
        finally:
            self.drop()

    def drop(self) -> None:
        """Closes the connection without a word."""
        self._socket.transport.abort()

    async def _send(self, event: Mapping[str, Any]) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await self._socket.send(encoded(event), text=True)
        except ConnectionClosed as error:
            raise self._lost(error) from error

    async def _next(self) -> Mapping[str, Any]:
        """The next event, which has a ``type``. Raises for ``error``."""
        from websockets.exceptions import ConnectionClosed

        try:
            event = orjson.loads(await self._socket.recv(decode=False))
        except orjson.JSONDecodeError:
            raise protocol_error(self._account.peer, "sends an event that is no JSON") from None
        except ConnectionClosed as error:
            raise self._lost(error) from error
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise protocol_error(self._account.peer, "sends something that is no event")
        if event["type"] == "error":
            raise told_failure(event.get("error")).error(
                self._account.peer, model=self._settings.model, model_variable=MODEL_VARIABLE
            )
        return event

    def _decoded(self, event: Mapping[str, Any]) -> bytes:
        try:
            return binascii.a2b_base64(event["delta"], strict_mode=True)
        except (KeyError, TypeError, ValueError):
            raise protocol_error(self._account.peer, "sends audio that is not base64") from None

    def _finished(self, response: Any, audio_bytes: int, *, is_read: bool) -> None:
        """Raises unless the reading is whole."""
        peer = self._account.peer
        response = response if isinstance(response, dict) else {}
        status = response.get("status")
        details = response.get("status_details")
        details = details if isinstance(details, dict) else {}
        if status == "failed":
            raise told_failure(details.get("error") or {"type": "server_error"}).error(
                peer, model=self._settings.model, model_variable=MODEL_VARIABLE
            )
        if details.get("reason") == "content_filter":
            raise empty_error(peer, "withheld the reading (content_filter)", retryable=False)
        if status != "completed":
            raise protocol_error(peer, "did not read the text to its end")
        if not audio_bytes:
            raise empty_error(peer, "answered without audio")
        if not is_read:
            raise self._strayed()

    def _strayed(self) -> ProviderError:
        return protocol_error(self._account.peer, "does not read the text as it stands (its transcript differs)")

    def _lost(self, error: Exception) -> ProviderError:
        return transport_error(self._account.peer, error, self._account.connect_s)


def _reading_of(text: str) -> dict[str, Any]:
    """Marks keep a text that looks like a question or an order from being answered or obeyed."""
    content = [{"type": "input_text", "text": f"<text>{text}</text>"}]
    return {
        "type": "response.create",
        "response": {
            "conversation": "none",
            "output_modalities": ["audio"],
            "input": [{"type": "message", "role": "user", "content": content}],
        },
    }


async def _connected(account: Account, model: str, connect_s: float) -> ClientConnection:
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidHandshake, InvalidStatus

    url = f"ws{account.base_url.removeprefix('http')}/realtime?{urlencode({'model': model})}"
    try:
        return await connect(
            url,
            additional_headers=account.headers,
            ssl=account.web.tls if url.startswith("wss:") else None,
            compression=None,  # base64 of PCM does not deflate
            open_timeout=connect_s,
            close_timeout=_CLOSE_S,
            max_size=_MESSAGE_MAX_BYTES,
            user_agent_header="voice-agent",
        )
    except InvalidStatus as refused:
        response = refused.response
        failure = failure_of(response.status_code, response.headers, bytes(response.body or b""))
        raise failure.error(account.peer, model=model, model_variable=MODEL_VARIABLE) from None
    except InvalidHandshake as error:
        if isinstance(error.__cause__, EOFError | OSError):
            raise transport_error(account.peer, error, connect_s) from error
        raise protocol_error(account.peer, "does not speak WebSocket here") from error
    except (TimeoutError, OSError) as error:
        raise transport_error(account.peer, error, connect_s) from error


class RealtimeSessions:
    """The sessions of a process that wait for their next reading."""

    def __init__(self, account: Account, settings: RealtimeSettings) -> None:
        self._account = account
        self._settings = settings
        self._idle: list[RealtimeSession] = []
        self._ending: set[RealtimeSession] = set()
        account.web.on_close(self._close)

    async def take(self) -> tuple[RealtimeSession, bool]:
        """A session, and whether it was opened just now. Hand it to ``give_back`` in the end. Raises ``ProviderError``."""
        self._sort_out()
        if self._idle:
            return self._idle.pop(), False
        return await RealtimeSession.open(self._account, self._settings, self._account.connect_s), True

    def give_back(self, session: RealtimeSession) -> None:
        """Keeps a session that can be used again; ends any other, at once and in the background, and opens one in its place
        where none is left: the next sentence is near."""
        if session.usable and len(self._idle) < _IDLE_MAX:
            self._idle.append(session)
            return
        self._end(session)
        self._sort_out()
        if not self._idle:
            self._account.web.spawn(self._warm_again(), "realtime-warm")

    async def warm(self) -> None:
        """Opens a session unless one waits. Raises ``ProviderError``."""
        self._sort_out()
        if not self._idle:
            session = await RealtimeSession.open(self._account, self._settings, _WARM_CONNECT_S)
            self._idle.append(session)  # another list by now, perhaps

    async def _warm_again(self) -> None:
        try:
            await self.warm()
        except ProviderError:
            return  # the next reading meets the same, and says it

    def _sort_out(self) -> None:
        """Ends the sessions that are too old; forgets those that the vendor ended."""
        usable = [session for session in self._idle if session.usable]
        for session in self._idle:
            if session not in usable:
                self._end(session)
        self._idle = usable

    def _end(self, session: RealtimeSession) -> None:
        async def end() -> None:
            await session.end()
            self._ending.discard(session)

        self._ending.add(session)
        self._account.web.spawn(end(), "realtime-end")

    async def _close(self) -> None:
        idle, self._idle = self._idle, []
        for session in idle:
            await session.end()
        for session in self._ending:  # the tasks that end them may be cancelled before they begin
            session.drop()


def is_lost(error: ProviderError) -> bool:
    """The session is gone, for no fault of the request."""
    return error.category is ProviderFault.NETWORK
