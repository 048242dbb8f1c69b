"""Deepgram's /v1/listen, as its own client and plain WebSockets find it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from tests.hearing import plain_words
from tests.unit.dev_vendors.deepgram_kit import (
    DEADLINE_S,
    RATE,
    checked,
    frames,
    quiet,
    raw,
    real_stand_in,
    recorded_speech,
    said,
    sdk,
    stand_in,
    tone,
    until,
)
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from voice_agent.audio.resample import resampled
from voice_agent.dev_vendors.deepgram_engine import LocalEngine, LoudDetectors
from voice_agent.dev_vendors.deepgram_scripted import ScriptedEngine
from voice_agent.dev_vendors.desk import Delays, Mark
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.errors import ProviderError, ProviderFault

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the vendor's client uses an old interface

PATH = f"/v1/listen?model=nova-3&{RATE}"
TALK = f"{PATH}&interim_results=true&punctuate=true&endpointing=200"
OWNED = {"deepgram-ear", "deepgram-hearing", "deepgram-sending", "local-recognizer"}
TEXTS = ("Where is my order?", "One two three four five six seven eight nine ten eleven twelve thirteen fourteen.")


def scripted() -> ScriptedEngine:
    return ScriptedEngine(TEXTS)


def transcript(message: dict[str, Any]) -> str:
    text: str = message["channel"]["alternatives"][0]["transcript"]
    return text


def finals(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == "Results" and message["is_final"]]


async def heard(socket: Any, *pieces: bytes) -> list[dict[str, Any]]:
    """Sends the audio, closes the stream, and gives all answers."""
    for piece in pieces:
        for frame in frames(piece):
            await socket.send(frame)
    await socket.send('{"type": "CloseStream"}')
    return await said(socket)


async def sdk_session(vendors: Any, pcm: bytes, **options: Any) -> list[Any]:
    async with sdk(vendors).listen.v1.connect(encoding="linear16", **options) as connection:

        async def speak() -> None:
            for index, frame in enumerate(frames(pcm)):
                if index == 60:  # somebody has begun to speak: the recogniser is given the time for a guess
                    await vendors.desk.journal.wait_for(Mark.SENT, text="Results", timeout_s=DEADLINE_S)
                await connection.send_media(frame)
            await connection.send_keep_alive()
            await connection.send_finalize()
            await connection.send_close_stream()

        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            group.create_task(speak())
            return checked([message async for message in connection])


async def test_the_vendors_client_hears_real_speech() -> None:
    pcm = recorded_speech() + quiet(1.5)
    async with real_stand_in() as vendors:
        messages = await sdk_session(
            vendors,
            pcm,
            model="nova-3",
            language="en-US",
            sample_rate=16000,
            interim_results="true",
            vad_events="true",
            utterance_end_ms="1000",
            smart_format="true",
            endpointing="300",
            keyterm=["refund", "order number"],
        )
    kinds = {type(message).__name__ for message in messages}
    assert kinds == {"ListenV1Results", "ListenV1SpeechStarted", "ListenV1UtteranceEnd", "ListenV1Metadata"}
    results = [message for message in messages if message.type == "Results"]
    settled = [result for result in results if result.is_final]
    text = " ".join(result.channel.alternatives[0].transcript for result in settled)
    assert {"tried", "failed", "again", "matter"} <= set(plain_words(text).split())
    assert sum(result.speech_final for result in settled) >= 4
    assert len(settled) < len(results)
    assert settled[-1].from_finalize
    for one, after in itertools.pairwise(settled):
        assert after.start == pytest.approx(one.start + one.duration, abs=0.002)
    for result in results:
        words = result.channel.alternatives[0].words
        times = [time for word in words for time in (word.start, word.end)]
        assert times == sorted(times)
        assert all(result.start <= time <= result.start + result.duration + 0.002 for time in times)
        assert [word.punctuated_word for word in words] == result.channel.alternatives[0].transcript.split()
        assert all(0 < word.confidence <= 1 for word in words)
        assert (result.metadata.model_info.name, result.metadata.model_info.arch) == ("nova-3", "nova-3")
    assert messages[-1].type == "Metadata"
    assert messages[-1].duration == pytest.approx(len(pcm) / 32_000, abs=0.05)
    assert messages[-1].request_id == results[0].metadata.request_id


async def test_eight_kilohertz_are_heard_too() -> None:
    pcm = resampled(recorded_speech()[: 3 * 32_000], 16_000, 8_000)
    async with real_stand_in() as vendors:
        messages = await sdk_session(vendors, pcm, model="nova-2-phonecall", sample_rate=8000, interim_results="true")
    texts = [message.channel.alternatives[0].transcript for message in messages if message.type == "Results"]
    assert "tried" in " ".join(texts)
    assert all(text == plain_words(text) for text in texts), "without punctuate there are neither marks nor capitals"
    assert messages[0].channel.alternatives[0].words[0].punctuated_word is None


async def test_an_utterance_is_guessed_settled_and_ended() -> None:
    path = f"{TALK}&vad_events=true&utterance_end_ms=1000"
    async with stand_in(scripted()) as vendors, raw(vendors, path) as socket:
        messages = await heard(socket, quiet(0.5), tone(1.5), quiet(2.0))
    kinds = [message["type"] for message in messages]
    assert kinds == ["SpeechStarted", *["Results"] * 5, "UtteranceEnd", "Metadata"]
    assert messages[0]["timestamp"] == pytest.approx(0.5, abs=0.03)
    assert [transcript(message) for message in messages[1:5]] == ["Where", "Where is", "Where is my", TEXTS[0]]
    last = messages[5]
    assert (last["is_final"], last["speech_final"], last["from_finalize"]) == (True, True, False)
    assert transcript(last) == TEXTS[0]
    assert last["start"] + last["duration"] == pytest.approx(2.2, abs=0.05)
    assert messages[6]["last_word_end"] == last["channel"]["alternatives"][0]["words"][-1]["end"]
    assert 1.8 < messages[6]["last_word_end"] <= 2.05


async def test_long_speech_comes_in_several_finals() -> None:
    async with stand_in(ScriptedEngine([TEXTS[1]], word_s=0.8)) as vendors, raw(vendors, TALK) as socket:
        messages = await heard(socket, tone(11.5), quiet(0.5))
    settled = finals(messages)
    assert [message["speech_final"] for message in settled] == [False, True]
    assert " ".join(transcript(message) for message in settled) == TEXTS[1]


async def test_without_endpointing_no_speech_is_final() -> None:
    path = f"{PATH}&interim_results=true&endpointing=false&utterance_end_ms=1000"
    async with stand_in(scripted()) as vendors, raw(vendors, path) as socket:
        await socket.send(tone(1.0) + quiet(1.5))
        final = await until(socket, "Results", is_final=True)
        ended = await until(socket, "UtteranceEnd")
    assert (final["speech_final"], transcript(final)) == (False, "where is my order")
    assert ended["last_word_end"] == final["channel"]["alternatives"][0]["words"][-1]["end"]


async def test_silence_gives_empty_finals() -> None:
    async with stand_in(scripted()) as vendors, raw(vendors, PATH) as socket:
        messages = await heard(socket, quiet(10.5))
    settled = finals(messages)
    assert [(message["start"], transcript(message), message["speech_final"]) for message in settled] == [
        (0.0, "", False),
        (5.0, "", False),
    ]
    assert all(message["channel"]["alternatives"][0]["words"] == [] for message in settled)


async def test_finalize_ends_a_segment_at_once() -> None:
    async with stand_in(scripted()) as vendors, raw(vendors, TALK) as socket:
        await socket.send(tone(0.7))
        await socket.send('{"type": "Finalize"}')
        final = await until(socket, "Results", is_final=True)
        messages = await heard(socket, tone(0.6), quiet(0.4))
    assert (final["from_finalize"], transcript(final)) == (True, "Where is")
    assert [transcript(message) for message in finals(messages)] == ["my order?"]


@pytest.mark.parametrize("answers", [True, False])
async def test_finalize_with_nothing_buffered_is_answered_or_not(answers: bool) -> None:
    async with stand_in(scripted()) as vendors, raw(vendors, PATH) as socket:
        vendors.desk.deepgram.answers_idle_finalize = answers
        await socket.send(quiet(0.2))
        await socket.send('{"type": "Finalize"}')
        messages = await heard(socket)
    assert [transcript(message) for message in finals(messages)] == ([""] if answers else [])
    assert [message["from_finalize"] for message in finals(messages)] == ([True] if answers else [])
    assert messages[-1]["type"] == "Metadata"


async def test_a_final_is_as_late_as_the_desk_says() -> None:
    async with stand_in(scripted()) as vendors, raw(vendors, PATH) as socket:
        vendors.desk.delays[Stage.ASR] = Delays(first_s=0.15)
        await socket.send(tone(0.7))
        await socket.send('{"type": "Finalize"}')
        final = await until(socket, "Results", is_final=True)
        asked = vendors.desk.journal.find(Mark.RECEIVED, stage=Stage.ASR, text="Finalize")
        sent = vendors.desk.journal.find(Mark.FIRST_BYTE, stage=Stage.ASR, text="from_finalize")
    assert transcript(final) == "where is"
    assert asked is not None
    assert sent is not None
    assert sent.at_s - asked.at_s >= 0.15


async def test_a_session_without_audio_ends_as_the_vendors() -> None:
    async with stand_in(scripted()) as vendors:
        vendors.desk.deepgram.idle_s = 0.2
        async with raw(vendors, PATH) as socket:
            await socket.send('{"type": "KeepAlive"}')
            assert await said_before_failure(socket) == []
        closed = vendors.desk.journal.find(Mark.CLOSED, stage=Stage.ASR)
    assert socket.close_code == 1011
    assert "net0001" in (socket.close_reason or "")
    assert closed is not None


async def said_before_failure(socket: Any) -> list[str]:
    """All messages, as text, until the server closes, however it does."""
    messages = []
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                messages.append(await socket.recv(decode=True))
            except Exception:  # the close code is looked at by the test
                assert socket.close_code is not None
                return messages


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        ("no json", "expected value"),
        ("[1]", "invalid type"),
        ("{}", "missing field `type`"),
        ('{"type": "Nonsense"}', "unknown variant `Nonsense`"),
        ('{"type": "Configure", "keyterm": []}', "unknown field `keyterm`"),
        ('{"type": "Configure", "keyterms": 7}', "invalid type for `keyterms`"),
    ],
)
async def test_what_cannot_be_read_is_complained_of_and_the_session_lives_on(frame: str, complaint: str) -> None:
    async with stand_in(scripted()) as vendors, raw(vendors, PATH) as socket:
        await socket.send(frame)
        messages = await heard(socket, b"\x01", tone(0.5))
    assert (messages[0]["type"], messages[0]["variant"], messages[0]["message"]) == ("Error", "SchemaError", frame)
    assert complaint in messages[0]["description"]
    assert [message["type"] for message in messages[1:]] == ["Results", "Metadata"]


async def test_the_vendors_client_knows_complaints_and_configurations() -> None:
    async with stand_in(scripted()) as vendors:
        async with sdk(vendors).listen.v1.connect(model="nova-3", encoding="linear16", sample_rate=16000) as connection:
            await connection._send("nonsense")
            await connection._send({"type": "Configure", "keyterms": ["refund"]})
            await connection._send({"type": "Configure", "keyterms": ["refund"] * 501})
            await connection.send_close_stream()
            messages = checked([message async for message in connection])
        names = [type(message).__name__ for message in messages]
        assert names == ["ListenV1Error", "ListenV1ConfigureSuccess", "ListenV1ConfigureFailure", "ListenV1Metadata"]
        assert messages[1].keyterms == ["refund"]
        assert messages[2].code == "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"


async def test_audio_of_unknown_kind_closes_the_session() -> None:
    async with stand_in(scripted()) as vendors, raw(vendors, "/v1/listen?model=nova-3") as socket:
        await socket.send(tone(0.1))
        await said_before_failure(socket)
    assert socket.close_code == 1008
    assert "data0000" in (socket.close_reason or "")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"model=nova-9&{RATE}", "Bad Request"),
        (f"model=flux-general-en&{RATE}", "Bad Request"),
        (f"model=nova-3&language=xx&{RATE}", "Bad Request"),
        ("model=nova-3&encoding=linear16", "Bad Request"),
        ("model=nova-3&encoding=linear17&sample_rate=16000", "INVALID_QUERY_PARAMETER"),
        ("model=nova-3&encoding=opus&sample_rate=16000", "Bad Request"),
        ("model=nova-3&encoding=linear16&sample_rate=fast", "INVALID_QUERY_PARAMETER"),
        ("model=nova-3&encoding=linear16&sample_rate=11025", "Bad Request"),
        (f"model=nova-3&channels=2&{RATE}", "Bad Request"),
        (f"model=nova-3&interim_results=perhaps&{RATE}", "INVALID_QUERY_PARAMETER"),
        (f"model=nova-3&endpointing=soon&{RATE}", "INVALID_QUERY_PARAMETER"),
        (f"model=nova-3&interim_results=true&utterance_end_ms=200&{RATE}", "INVALID_QUERY_PARAMETER"),
        (f"model=nova-3&utterance_end_ms=1000&{RATE}", "Bad Request"),
        (f"model=nova-2&keyterm=refund&{RATE}", "Bad Request"),
        (f"model=nova-3&keywords=refund:2&{RATE}", "Bad Request"),
    ],
)
async def test_parameters_that_the_vendor_does_not_take_are_refused(query: str, code: str) -> None:
    async with stand_in(scripted()) as vendors:
        with pytest.raises(InvalidStatus) as refused:
            await raw(vendors, f"/v1/listen?{query}")
    response = refused.value.response
    body = orjson.loads(response.body or b"")
    assert (response.status_code, body["err_code"]) == (400, code)
    assert body["err_msg"] == response.headers["dg-error"]
    assert body["request_id"] == response.headers["dg-request-id"]


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.UNAUTHORIZED, 401, "INVALID_AUTH"),
        (Fault.RATE_LIMITED, 429, "TOO_MANY_REQUESTS"),
        (Fault.QUOTA, 402, "ASR_PAYMENT_REQUIRED"),
        (Fault.SERVER_ERROR, 503, "SERVICE_UNAVAILABLE"),
    ],
)
async def test_faults_at_the_upgrade(fault: Fault, status: int, code: str) -> None:
    async with stand_in(scripted()) as vendors:
        vendors.set_fault(Stage.ASR, fault)
        with pytest.raises(InvalidStatus) as refused:
            await raw(vendors, PATH)
        vendors.set_fault(Stage.ASR, None)
        async with raw(vendors, PATH) as socket:
            assert (await heard(socket))[-1]["type"] == "Metadata"
    response = refused.value.response
    assert response.status_code == status
    assert orjson.loads(response.body or b"")["err_code"] == code
    assert (response.headers.get("retry-after") == "1") == (fault is Fault.RATE_LIMITED)


async def test_the_vendors_client_is_told_of_a_wrong_key() -> None:
    from deepgram.core.api_error import ApiError

    async with stand_in(scripted()) as vendors:
        with pytest.raises(ApiError) as refused:
            async with sdk(vendors, key="wrong").listen.v1.connect(model="nova-3"):
                pass
    assert refused.value.status_code == 401


async def test_a_browser_gives_its_key_as_a_subprotocol() -> None:
    async with stand_in(scripted()) as vendors:
        url = vendors.deepgram_url.replace("http", "ws") + PATH
        protocols = [Subprotocol("token"), Subprotocol(vendors.desk.key)]
        async with connect(url, subprotocols=protocols, proxy=None) as socket:
            assert socket.subprotocol == "token"


async def test_garbage_comes_in_place_of_results() -> None:
    async with stand_in(scripted()) as vendors, raw(vendors, PATH) as socket:
        vendors.set_fault(Stage.ASR, Fault.GARBAGE_JSON)
        await socket.send(tone(0.5) + quiet(0.5))
        async with asyncio.timeout(DEADLINE_S):
            garbage = await socket.recv()
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(garbage)


async def test_an_empty_vendor_hears_nothing() -> None:
    async with stand_in(scripted()) as vendors, raw(vendors, TALK) as socket:
        vendors.set_fault(Stage.ASR, Fault.EMPTY)
        messages = await heard(socket, tone(1.0), quiet(0.5))
    assert [message["speech_final"] for message in finals(messages)] == [True]
    assert all(transcript(message) == "" for message in messages if message["type"] == "Results")


@pytest.mark.parametrize(("politely", "code"), [(True, 1000), (False, 1011)])
async def test_a_session_is_recycled_in_mid_call(politely: bool, code: int) -> None:
    async with stand_in(scripted()) as vendors, raw(vendors, TALK) as socket:
        vendors.desk.deepgram.recycles_politely = politely
        await socket.send(tone(1.0))
        await until(socket, "Results")
        vendors.set_fault(Stage.ASR, Fault.RECYCLED)
        await socket.send(tone(0.02))
        await said_before_failure(socket)
    assert socket.close_code == code
    assert ("net0000" in (socket.close_reason or "")) is not politely


class LosingFactory:
    """Its recogniser is lost as soon as it is asked for anything."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    @asynccontextmanager
    async def open(self, *, locale: str, hints: tuple[str, ...]) -> AsyncIterator[Any]:
        yield self

    def begin(self, utterance_id: Any) -> None: ...

    def push(self, pcm: bytes) -> None: ...

    def finalize(self) -> None: ...

    async def events(self) -> AsyncIterator[Any]:
        raise ProviderError("the model is gone", category=ProviderFault.INTERNAL)
        yield


@pytest.mark.parametrize("path", [PATH, f"/v2/listen?model=flux-general-en&{RATE}"])
async def test_a_recogniser_that_is_lost_ends_the_session(path: str) -> None:
    hearing = LocalEngine(LosingFactory(), LoudDetectors())
    async with stand_in(hearing) as vendors, raw(vendors, path) as socket:
        messages = await said_before_failure(socket)
    assert socket.close_code == 1011
    codes = [orjson.loads(message).get("code") for message in messages if "Error" in message]
    assert codes == (["INTERNAL_SERVER_ERROR"] if "v2" in path else [])


async def test_without_a_voice_detector_what_is_loud_is_heard() -> None:
    async with stand_in() as vendors, raw(vendors, f"{PATH}&punctuate=true&endpointing=300") as socket:
        messages = await heard(socket, recorded_speech()[: 3 * 32_000], quiet(0.5))
    assert {"ever", "tried", "failed"} <= set(plain_words(" ".join(map(transcript, finals(messages)))).split())


async def test_a_client_that_goes_leaves_nothing_behind() -> None:
    async with real_stand_in() as vendors:
        async with raw(vendors, TALK) as socket:
            await vendors.desk.journal.wait_for(Mark.REQUEST, stage=Stage.ASR)
            await socket.send(recorded_speech()[: 2 * 32_000])
            socket.transport.abort()
        await vendors.desk.journal.wait_for(Mark.CLIENT_GONE, stage=Stage.ASR)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(
                *(task for task in asyncio.all_tasks() if task.get_name() in OWNED), return_exceptions=True
            )
