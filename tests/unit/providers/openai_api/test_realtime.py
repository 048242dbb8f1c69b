"""The Realtime voice against scripted sessions: readings, rewordings, sessions that end."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import pytest
from tests.unit.providers.openai_api.conftest import MakeAccount
from tests.unit.providers.openai_api.wire import greeting, until, unused_port
from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.openai_api.realtime import RealtimeSynthesizer
from voice_agent.providers.openai_api.realtime_session import RealtimeSettings
from voice_agent.providers.openai_api.voices import REALTIME_VOICES, voice_of_agent

PCM = bytes(range(200)) * 2
TEXT = "Your parcel is on its way, and it should reach you on Friday."
HANG_UP = "hang up"
Event = dict[str, Any] | bytes | str


def audio(pcm: bytes = PCM) -> Event:
    return {"type": "response.output_audio.delta", "response_id": "r", "delta": base64.b64encode(pcm).decode()}


def words(text: str) -> Event:
    return {"type": "response.output_audio_transcript.delta", "response_id": "r", "delta": text}


def done(status: str = "completed", **details: Any) -> Event:
    return {"type": "response.done", "response": {"id": "r", "status": status, "status_details": details or None}}


READING = [words(TEXT[:20]), audio(), words(TEXT[20:]), audio(), done()]


class Vendor:
    """Answers each ``response.create`` with the next script; the last one again and again."""

    def __init__(self, scripts: Sequence[Sequence[Event]]) -> None:
        self.scripts = deque(scripts)
        self.received: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str] = []
        self._sockets: set[ServerConnection] = set()
        self.on_update: Event | None = {"type": "session.updated", "session": {}}
        self.refusal: tuple[HTTPStatus, str] | None = None
        self.url = ""

    @property
    def sessions(self) -> int:
        return len(self.paths)

    @property
    def open(self) -> int:
        return len(self._sockets)

    async def hang_up(self) -> None:
        for socket in list(self._sockets):
            await socket.close(1001, "session expired")
        await until(lambda: self.open == 0)

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.received]

    def check(self, socket: ServerConnection, request: Request) -> Response | None:
        return socket.respond(*self.refusal) if self.refusal else None

    async def serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.paths.append(socket.request.path)
        self.keys.append(socket.request.headers.get("authorization", ""))
        self._sockets.add(socket)
        try:
            await socket.send(json.dumps({"type": "session.created", "session": {}}))
            async for message in socket:
                event = json.loads(message)
                self.received.append(event)
                if event["type"] == "session.update" and self.on_update is not None:
                    await socket.send(json.dumps(self.on_update))
                if event["type"] == "response.create":
                    await self._answer(socket)
        except ConnectionClosed:
            pass
        finally:
            self._sockets.discard(socket)

    async def _answer(self, socket: ServerConnection) -> None:
        script = self.scripts.popleft() if len(self.scripts) > 1 else self.scripts[0]
        for event in script:
            if event == HANG_UP:
                await socket.close(1001, "session expired")
                return
            await socket.send(json.dumps(event) if isinstance(event, dict) else event)


@asynccontextmanager
async def vendor(*scripts: Sequence[Event]) -> AsyncIterator[Vendor]:
    answering = Vendor(scripts)
    async with serve(answering.serve, "127.0.0.1", 0, process_request=answering.check) as server:
        answering.url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/v1"
        yield answering


MakeVoice = Callable[..., RealtimeSynthesizer]


@pytest.fixture
def voice(account: MakeAccount) -> MakeVoice:
    def make(url: str, *, connect_s: float = 5.0, speed: float = 1.0) -> RealtimeSynthesizer:
        settings = RealtimeSettings("some-model", "marin", "Read aloud.", speed)
        return RealtimeSynthesizer(account(url, connect_s=connect_s), settings)

    return make


async def spoken(voice: RealtimeSynthesizer, text: str = TEXT) -> list[bytes]:
    async with asyncio.timeout(20):
        return [chunk async for chunk in voice.synthesize(text, locale="en-US")]


async def failing(voice: RealtimeSynthesizer) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await spoken(voice)
    assert "sk-secret-key" not in str(caught.value)
    assert "parcel" not in str(caught.value)
    return caught.value


async def test_a_session_and_a_reading_as_the_api_asks_for_them(voice: MakeVoice) -> None:
    async with vendor(READING) as server:
        assert await spoken(voice(server.url, speed=1.2)) == [PCM, PCM]
    assert server.paths == ["/v1/realtime?model=some-model"]
    assert server.keys == ["Bearer sk-secret-key"]
    update, create = server.received
    assert update == {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": "Read aloud.",
            "audio": {
                "input": {"turn_detection": None},
                "output": {"format": {"type": "audio/pcm", "rate": 24_000}, "voice": "marin", "speed": 1.2},
            },
        },
    }
    assert create["type"] == "response.create"
    assert create["response"]["conversation"] == "none"
    assert create["response"]["input"][0]["content"] == [{"type": "input_text", "text": f"<text>{TEXT}</text>"}]


async def test_the_sdk_knows_every_field_that_is_sent(voice: MakeVoice) -> None:
    """The vendor's own models, strict: a misspelt field would be one that they do not have."""
    from openai.types.realtime import ResponseCreateEvent, SessionUpdateEvent

    async with vendor(READING) as server:
        await spoken(voice(server.url, speed=1.2))
    for event, model in zip(server.received, (SessionUpdateEvent, ResponseCreateEvent), strict=True):
        parsed = model.model_validate(event)
        assert parsed.to_dict() == event
        assert not _unknown_fields(parsed)


def _unknown_fields(model: Any) -> list[str]:
    """Names that the SDK's models do not declare, at any depth."""
    unknown = list(getattr(model, "model_extra", None) or {})
    for name in getattr(type(model), "model_fields", {}):
        value = getattr(model, name)
        for item in value if isinstance(value, list) else [value]:
            unknown += _unknown_fields(item)
    return unknown


async def test_sentences_share_a_session(voice: MakeVoice) -> None:
    async with vendor(READING) as server:
        one = voice(server.url)
        await one.warm()
        await one.warm()
        for _ in range(3):
            assert await spoken(one)
        assert server.sessions == 1
    assert server.kinds() == ["session.update"] + ["response.create"] * 3


async def test_sentences_side_by_side_have_a_session_each(voice: MakeVoice) -> None:
    async with vendor(READING) as server:
        one = voice(server.url)
        await asyncio.gather(*(spoken(one) for _ in range(3)))
        assert server.sessions == 3
        await spoken(one)
        assert server.sessions == 3


async def test_odd_pieces_become_whole_samples(voice: MakeVoice) -> None:
    pieces = [PCM[:7], PCM[7:8], PCM[8:101], PCM[101:]]
    async with vendor([words(TEXT), *map(audio, pieces), done()]) as server:
        chunks = await spoken(voice(server.url))
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    assert b"".join(chunks) == PCM


async def test_names_of_the_beta_are_understood(voice: MakeVoice) -> None:
    old = [
        {"type": "response.audio_transcript.done", "transcript": TEXT},
        {"type": "response.audio.delta", "delta": base64.b64encode(PCM).decode()},
        {"type": "rate_limits.updated"},
        done(),
    ]
    async with vendor(old) as server:
        assert await spoken(voice(server.url)) == [PCM]


STRAYED = "I am sorry, but I cannot tell you anything about that."
WRONG: list[tuple[Sequence[Event], ProviderFault]] = [
    ([words(STRAYED), audio(), done()], ProviderFault.PROTOCOL),
    ([audio(), words(TEXT.replace("Friday", "Monday")), done()], ProviderFault.PROTOCOL),
    ([audio(), done()], ProviderFault.PROTOCOL),  # no transcript
    ([words(TEXT), done()], ProviderFault.EMPTY),
    ([words(TEXT), audio(), done("incomplete", reason="max_output_tokens")], ProviderFault.PROTOCOL),
    ([done("incomplete", reason="content_filter")], ProviderFault.EMPTY),
    ([done("cancelled", reason="turn_detected")], ProviderFault.PROTOCOL),
    ([done("failed", error={"code": "insufficient_quota"})], ProviderFault.QUOTA),
    ([done("failed", error={"code": "rate_limit_exceeded"})], ProviderFault.RATE),
    ([done("failed")], ProviderFault.INTERNAL),
    ([{"type": "error", "error": {"type": "invalid_request_error", "code": "invalid_value"}}], ProviderFault.PROTOCOL),
    ([{"type": "error", "error": {"type": "server_error"}}], ProviderFault.INTERNAL),
    ([{"type": "error", "error": {"code": "invalid_api_key"}}], ProviderFault.AUTH),
    ([{"type": "error", "error": {"code": "session_expired"}}], ProviderFault.NETWORK),
    ([{"type": "error"}], ProviderFault.PROTOCOL),
    ([{"type": "response.output_audio.delta", "delta": "not base64!"}], ProviderFault.PROTOCOL),
    ([{"type": "response.output_audio.delta"}], ProviderFault.PROTOCOL),
    (["{nonsense"], ProviderFault.PROTOCOL),
    (["[]"], ProviderFault.PROTOCOL),
    ([b"\xff\xfe"], ProviderFault.PROTOCOL),
    ([audio(), HANG_UP], ProviderFault.NETWORK),
    ([HANG_UP], ProviderFault.NETWORK),
]


@pytest.mark.parametrize(("script", "category"), WRONG)
async def test_what_is_no_reading(voice: MakeVoice, script: Sequence[Event], category: ProviderFault) -> None:
    async with vendor(script) as server:
        assert (await failing(voice(server.url))).category is category


async def test_a_rewording_stops_before_its_end(voice: MakeVoice) -> None:
    async with vendor([audio(), words(STRAYED)]) as server:  # and nothing more: waiting for the end would not end
        one = voice(server.url)
        assert (await failing(one)).category is ProviderFault.PROTOCOL
        await until(lambda: "response.cancel" in server.kinds())


async def test_closing_the_stream_cancels_the_response_and_the_session(voice: MakeVoice) -> None:
    async with vendor([words(TEXT), audio()]) as server:
        async with aclosing(cast(Any, voice(server.url).synthesize(TEXT, locale="en-US"))) as chunks:
            assert await anext(chunks) == PCM
        await until(lambda: server.kinds()[-1] == "session.update" and server.sessions == 2)  # one in its place
        await until(lambda: server.open == 1)
    assert server.kinds()[:3] == ["session.update", "response.create", "response.cancel"]


async def test_cancelling_the_consumer_does_the_same(voice: MakeVoice) -> None:
    async with vendor([words(TEXT)]) as server:
        task = asyncio.create_task(spoken(voice(server.url)))
        await until(lambda: "response.create" in server.kinds())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: "response.cancel" in server.kinds())


@pytest.mark.parametrize("end", [[HANG_UP], [{"type": "error", "error": {"code": "session_expired"}}]])
async def test_a_session_that_ends_under_a_sentence_is_replaced(voice: MakeVoice, end: Sequence[Event]) -> None:
    async with vendor(READING, end, READING) as server:
        one = voice(server.url)
        assert await spoken(one) == [PCM, PCM]
        assert await spoken(one) == [PCM, PCM]
        assert server.sessions >= 2


async def test_a_session_that_ended_while_it_waited_is_replaced(voice: MakeVoice) -> None:
    async with vendor(READING) as server:
        one = voice(server.url)
        for sessions in range(1, 4):
            assert await spoken(one) == [PCM, PCM]
            assert server.sessions == sessions
            await server.hang_up()


@pytest.mark.parametrize(
    ("status", "body", "category"),
    [
        (HTTPStatus.UNAUTHORIZED, "{}", ProviderFault.AUTH),
        (HTTPStatus.TOO_MANY_REQUESTS, "{}", ProviderFault.RATE),
        (HTTPStatus.TOO_MANY_REQUESTS, '{"error": {"code": "insufficient_quota"}}', ProviderFault.QUOTA),
        (HTTPStatus.NOT_FOUND, "<html>", ProviderFault.PROTOCOL),
        (HTTPStatus.SERVICE_UNAVAILABLE, "", ProviderFault.INTERNAL),
    ],
)
async def test_a_refused_handshake(voice: MakeVoice, status: HTTPStatus, body: str, category: ProviderFault) -> None:
    async with vendor(READING) as server:
        server.refusal = (status, body)
        error = await failing(voice(server.url))
        assert error.category is category
        with pytest.raises(ProviderError):
            await voice(server.url).warm()


async def test_a_session_that_is_never_set_up(voice: MakeVoice) -> None:
    async with vendor(READING) as server:
        server.on_update = None
        assert (await failing(voice(server.url, connect_s=0.2))).category is ProviderFault.TIMEOUT


async def test_a_voice_that_the_model_lacks(voice: MakeVoice) -> None:
    async with vendor(READING) as server:
        server.on_update = {"type": "error", "error": {"code": "invalid_value", "param": "session.audio.output.voice"}}
        error = await failing(voice(server.url))
    assert error.category is ProviderFault.PROTOCOL
    assert "session.audio.output.voice" in str(error)


@pytest.mark.parametrize(
    ("words", "category"),
    [(b"", ProviderFault.NETWORK), (b"220 mail.acme.com\r\n\r\n", ProviderFault.PROTOCOL)],
)
async def test_a_server_that_is_none(voice: MakeVoice, words: bytes, category: ProviderFault) -> None:
    async with greeting(words) as place:
        assert (await failing(voice(f"http://{place}/v1"))).category is category


async def test_nobody_there(voice: MakeVoice) -> None:
    error = await failing(voice(f"http://127.0.0.1:{await unused_port()}/v1"))
    assert error.category is ProviderFault.NETWORK
    assert "refused" in str(error)


async def test_a_handshake_that_never_ends(voice: MakeVoice) -> None:
    async with greeting(b"", silent=True) as place:
        error = await failing(voice(f"http://{place}/v1", connect_s=0.05))
    assert error.category is ProviderFault.TIMEOUT


async def test_each_voice_has_sessions_of_its_own(account: MakeAccount) -> None:
    async with vendor(READING) as server:
        settings = RealtimeSettings("some-model", "marin", "Read aloud.")
        named = partial(voice_of_agent, voices=REALTIME_VOICES, usual="marin")
        speaker = RealtimeSynthesizer(account(server.url), settings, named)
        for voice in ("cedar", "", "cedar", "no such voice"):
            assert [chunk async for chunk in speaker.synthesize(TEXT, locale="en-US", voice=voice)]
        updates = [event["session"] for event in server.received if event["type"] == "session.update"]
        set_up = [session["audio"]["output"]["voice"] for session in updates]
    assert set_up == ["cedar", "marin"]
