"""Deepgram's streaming synthesis, message by message: the vendor's side is in the test's hands."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from tests.unit.providers.deepgram_wire import DEADLINE_S, KEY, Session, Wire, deepgram_wire, refusing

from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.deepgram import speak_lines
from voice_agent.providers.tts.deepgram import DeepgramSynthesizer

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the vendor's client uses websockets' old interface
    from deepgram import AsyncDeepgramClient
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.speak.v1.client import AsyncV1Client as _Loaded  # noqa: F401 - modules are otherwise loaded later

FLUSHED = {"type": "Flushed", "sequence_id": 0}
METADATA = {"type": "Metadata", "request_id": "r", "model_name": "aura", "model_version": "1", "model_uuid": "u"}


@asynccontextmanager
async def vendor() -> AsyncIterator[tuple[DeepgramSynthesizer, Wire]]:
    async with deepgram_wire() as wire:
        yield DeepgramSynthesizer(wire.settings, voice="alloy", connect_s=5.0), wire


def speaking(synthesizer: DeepgramSynthesizer, text: str, locale: str = "en-US") -> asyncio.Task[list[bytes]]:
    async def speak() -> list[bytes]:
        async with asyncio.timeout(DEADLINE_S):
            return [pcm async for pcm in synthesizer.synthesize(text, locale=locale)]

    return asyncio.create_task(speak())


async def one(wire: Wire, number: int = 1, flush: int = 1) -> Session:
    session = await wire.session(number)
    await session.until_type("Flush", flush)
    return session


async def test_a_sentence_is_asked_for_and_streamed() -> None:
    async with vendor() as (synthesizer, wire):
        spoken = speaking(synthesizer, "Hello there.")
        session = await one(wire)
        await session.say(METADATA, b"\x01\x00\x02\x00", b"\x03\x00", FLUSHED)
        assert await spoken == [b"\x01\x00\x02\x00", b"\x03\x00"]
    assert session.path == "/v1/speak"
    assert session.key == f"Token {KEY}"
    assert dict(session.query) == {
        "model": "aura-2-thalia-en",
        "encoding": "linear16",
        "sample_rate": "24000",
        "mip_opt_out": "true",
    }
    assert session.texts == [{"type": "Speak", "text": "Hello there."}, {"type": "Flush"}]


async def test_a_sample_may_be_split_between_messages() -> None:
    async with vendor() as (synthesizer, wire):
        spoken = speaking(synthesizer, "Hello.")
        await (await one(wire)).say(b"\x01", b"\x02\x03", b"", b"\x04\x05", b"\x06\x07\x08", FLUSHED)
        chunks = await spoken
    assert all(chunk and len(chunk) % 2 == 0 for chunk in chunks)
    assert b"".join(chunks) == bytes(range(1, 9))


async def test_the_first_audio_is_given_before_the_last_has_come() -> None:
    async with vendor() as (synthesizer, wire), asyncio.timeout(DEADLINE_S):
        chunks = synthesizer.synthesize("Hello.", locale="en-US")
        first = asyncio.ensure_future(anext(chunks))
        session = await one(wire)
        await session.say(b"\x01\x00")
        assert await first == b"\x01\x00"
        await session.say(FLUSHED)
        with pytest.raises(StopAsyncIteration):
            await anext(chunks)


async def test_the_connection_serves_the_next_sentence_too() -> None:
    async with vendor() as (synthesizer, wire):
        for number in (1, 2, 3):
            spoken = speaking(synthesizer, f"Sentence {number}.")
            await (await one(wire, 1, number)).say(bytes([number, 0]), FLUSHED)
            assert await spoken == [bytes([number, 0])]
        assert wire.count == 1


@pytest.mark.parametrize("how", ["cancelled", "closed"])
async def test_a_sentence_not_wanted_any_more_closes_the_connection_at_once(how: str) -> None:
    async with vendor() as (synthesizer, wire), asyncio.timeout(DEADLINE_S):
        heard = asyncio.Event()

        async def consume() -> None:
            async with aclosing(synthesizer.synthesize("A long story.", locale="en-US")) as chunks:  # type: ignore[type-var]
                async for _ in chunks:
                    heard.set()
                    if how == "closed":
                        return

        consumer = asyncio.create_task(consume())
        session = await one(wire)
        await session.say(METADATA, b"\x01\x00")
        await heard.wait()
        if how == "cancelled":
            consumer.cancel()
        await asyncio.wait({consumer})
        await session.until_gone()
        # One is opened in its place, and has nothing of the old sentence in it.
        again = await wire.session(2)
        spoken = speaking(synthesizer, "Next.")
        await again.until_type("Flush")
        await again.say(b"\x02\x00", FLUSHED)
        assert await spoken == [b"\x02\x00"]
        assert wire.count == 2


async def test_two_sentences_at_once_have_two_connections_and_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speak_lines, "IDLE_MAX", 2)
    async with vendor() as (synthesizer, wire):
        tasks = [speaking(synthesizer, "Hello.") for _ in range(3)]
        sessions = [await one(wire, number) for number in (1, 2, 3)]
        for session in sessions:
            await session.say(b"\x01\x00", FLUSHED)
        await asyncio.gather(*tasks)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.wait(
                [asyncio.create_task(session.until_gone()) for session in sessions], return_when=asyncio.FIRST_COMPLETED
            )
        assert sum(session.gone for session in sessions) == 1


async def test_an_idle_connection_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speak_lines, "IDLE_S", 0.01)
    async with vendor() as (synthesizer, wire):
        await synthesizer.warm()
        await (await wire.session(1)).until_gone()


async def test_warming_opens_one_connection_and_no_more() -> None:
    async with vendor() as (synthesizer, wire):
        await synthesizer.warm_up()
        await synthesizer.warm()
        await synthesizer.warm()
        spoken = speaking(synthesizer, "Hello.")
        await (await one(wire)).say(b"\x01\x00", FLUSHED)
        assert await spoken
        assert wire.count == 1


async def test_a_connection_that_opens_as_its_sentence_is_cancelled_serves_the_next() -> None:
    async with vendor() as (synthesizer, wire), asyncio.timeout(DEADLINE_S):
        lines, params = synthesizer._lines, synthesizer._params("en-US", "")
        lines.drop(await lines.take(params), replace=True)
        (opening,) = [task for task in asyncio.all_tasks() if task.get_name() == "deepgram-speak-line"]
        waiting: list[asyncio.Task[Any]] = []
        opening.add_done_callback(lambda _: waiting[0].cancel())  # just before it would be given to the sentence
        waiting.append(asyncio.create_task(lines.take(params)))
        await asyncio.wait(waiting)
        assert waiting[0].cancelled()
        spoken = speaking(synthesizer, "Next.")
        await (await one(wire, 2)).say(b"\x02\x00", FLUSHED)
        assert await spoken == [b"\x02\x00"]
        assert wire.count == 2


async def test_closing_closes_what_is_kept_or_being_opened() -> None:
    async with vendor() as (synthesizer, wire):
        await synthesizer.warm()
        session = await wire.session(1)
        spoken = speaking(synthesizer, "Hello.")
        await session.until_type("Flush")
        spoken.cancel()  # another is opened in its place
        await asyncio.wait({spoken})
        await synthesizer.aclose()
        await session.until_gone()
        await synthesizer.warm()
        await synthesizer.aclose()
        assert [task for task in asyncio.all_tasks() if task.get_name() == "deepgram-speak-line"] == []
        await (await wire.session(wire.count)).until_gone()


async def test_a_kept_connection_that_died_is_replaced() -> None:
    """The vendor may have closed it just now: nothing was heard yet, so nobody notices."""
    async with vendor() as (synthesizer, wire):
        spoken = speaking(synthesizer, "First.")
        session = await one(wire)
        await session.say(b"\x01\x00", FLUSHED)
        await spoken
        spoken = speaking(synthesizer, "Second.")
        await session.until_type("Flush", 2)
        session.cut()
        await (await one(wire, 2)).say(b"\x02\x00", FLUSHED)
        assert await spoken == [b"\x02\x00"]


async def test_one_that_the_vendor_closed_meanwhile_is_not_taken() -> None:
    async with vendor() as (synthesizer, wire):
        await synthesizer.warm()
        session = await wire.session(1)
        await session.end()
        await session.until_gone()
        spoken = speaking(synthesizer, "Hello.")
        await (await one(wire, 2)).say(b"\x01\x00", FLUSHED)
        assert await spoken


async def test_a_break_in_mid_sentence_is_an_error() -> None:
    async with vendor() as (synthesizer, wire):
        spoken = speaking(synthesizer, "Hello.")
        session = await one(wire)
        await session.say(b"\x01\x00")
        await session.end(1011, "See https://dpgr.am/net0000")
        with pytest.raises(ProviderError) as caught:
            await spoken
    assert caught.value.category is ProviderFault.NETWORK
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("said", "category"),
    [
        ({"type": "Error", "err_code": "BAD", "description": "caller text"}, ProviderFault.PROTOCOL),
        ({"type": "Warning", "code": "EXCESSIVE_FLUSH", "description": "caller text"}, ProviderFault.RATE),
        ('{"type": "Flu', ProviderFault.PROTOCOL),
        (FLUSHED, ProviderFault.EMPTY),
    ],
)
async def test_what_is_no_speech_is_an_error(said: Any, category: ProviderFault) -> None:
    async with vendor() as (synthesizer, wire):
        spoken = speaking(synthesizer, "Hello.")
        await (await one(wire)).say(said)
        with pytest.raises(ProviderError) as caught:
            await spoken
    assert caught.value.category is category
    assert "caller text" not in str(caught.value)


async def test_other_warnings_and_unknown_messages_harm_nothing() -> None:
    async with vendor() as (synthesizer, wire):
        spoken = speaking(synthesizer, "Hello.")
        await (await one(wire)).say(
            {"type": "Warning", "code": "TEXT", "description": "hm"}, {"type": "News"}, b"\x01\x00", FLUSHED
        )
        assert await spoken == [b"\x01\x00"]


async def test_a_connection_that_was_flushed_as_often_as_it_may_rests() -> None:
    async with vendor() as (synthesizer, wire):
        for number in range(1, 21):
            spoken = speaking(synthesizer, "Hello.")
            await (await one(wire, 1, number)).say(b"\x01\x00", FLUSHED)
            await spoken
        spoken = speaking(synthesizer, "Hello.")
        await (await one(wire, 2)).say(b"\x02\x00", FLUSHED)
        assert await spoken == [b"\x02\x00"]


async def test_a_text_longer_than_a_message_may_be_is_cut_between_sentences() -> None:
    text = "This sentence is said again and again. " * 60 + "x" * 2500
    async with vendor() as (synthesizer, wire):
        spoken = speaking(synthesizer, text)
        session = await wire.session(1)
        for number in range(1, 5):
            await session.until_type("Flush", number)
            await session.say(bytes([number, 0]), FLUSHED)
        assert b"".join(await spoken) == b"\x01\x00\x02\x00\x03\x00\x04\x00"
    texts = [message["text"] for message in session.texts if message["type"] == "Speak"]
    assert all(len(text) <= 2000 for text in texts)
    assert texts[0].endswith("again.")
    assert "".join(texts).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ["", "  ", "😀", "**", "..."])
async def test_nothing_speakable_asks_for_nothing(text: str) -> None:
    async with vendor() as (synthesizer, wire):
        assert await speaking(synthesizer, text) == []
        assert wire.attempts == 0


@pytest.mark.parametrize(
    ("model", "voice", "speed", "locale", "asked", "pace"),
    [
        ("", "alloy", 1.0, "en-GB", "aura-2-thalia-en", None),
        ("", "aura-2-orion-en", 1.2, "en-US", "aura-2-orion-en", "1.2"),
        ("aura-2-zeus-en", "aura-2-orion-en", 2.0, "en-US", "aura-2-zeus-en", "1.5"),
        ("gpt-4o-mini-tts", "aura-2-orion-en", 1.0, "es-ES", "aura-2-celeste-es", None),
        ("", "", 0.5, "ar-SA", "aura-2-thalia-en", "0.7"),
    ],
)
async def test_the_voice(model: str, voice: str, speed: float, locale: str, asked: str, pace: str | None) -> None:
    async with deepgram_wire() as wire:
        synthesizer = DeepgramSynthesizer(wire.settings, model=model, voice=voice, speed=speed, locale=locale)
        await synthesizer.warm()
        query = dict((await wire.session(1)).query)
    assert (query["model"], query.get("speed")) == (asked, pace)


@pytest.mark.parametrize(("status", "category"), [(401, ProviderFault.AUTH), (429, ProviderFault.RATE)])
async def test_a_refused_connection_is_an_error(status: int, category: ProviderFault) -> None:
    async with deepgram_wire(refusing(status)) as wire:
        with pytest.raises(ProviderError) as caught:
            await speaking(DeepgramSynthesizer(wire.settings), "Hello.")
    assert caught.value.category is category


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_vendors_client_reads_the_same_session_alike() -> None:
    recording: list[Any] = [METADATA, b"\x01\x00\x02\x00", {"type": "Warning", "code": "TEXT", "description": "hm"}]
    recording += [b"\x03\x00", FLUSHED]
    async with vendor() as (synthesizer, wire):
        spoken = speaking(synthesizer, "Hello.")
        await (await one(wire)).say(*recording)
        ours = await spoken
        ws = wire.url.replace("http", "ws")
        environment = DeepgramClientEnvironment(base=wire.url, production=ws, agent=ws, agent_rest=wire.url)
        client = AsyncDeepgramClient(api_key=KEY, environment=environment)
        async with asyncio.timeout(DEADLINE_S), client.speak.v1.connect(model="aura-2-thalia-en") as connection:
            await (await wire.session(2)).say(*recording)
            theirs = [await connection.recv() for _ in recording]
    assert [message for message in theirs if isinstance(message, bytes)] == ours
    assert [message.type for message in theirs if not isinstance(message, bytes)] == ["Metadata", "Warning", "Flushed"]


@pytest.mark.parametrize(
    ("voice", "locale", "model"),
    [
        ("aura-2-orion-en", "en-US", "aura-2-orion-en"),
        ("aura-2-orion-en", "es-ES", "aura-2-celeste-es"),  # speaks no Spanish
        ("nova", "en-US", "aura-2-thalia-en"),  # another vendor's
    ],
)
async def test_an_agents_voice_goes_before_the_usual_one(voice: str, locale: str, model: str) -> None:
    async with vendor() as (synthesizer, wire):

        async def speak() -> list[bytes]:
            async with asyncio.timeout(DEADLINE_S):
                return [pcm async for pcm in synthesizer.synthesize("Hello.", locale=locale, voice=voice)]

        spoken = asyncio.create_task(speak())
        session = await one(wire)
        await session.say(b"\x01\x00", FLUSHED)
        assert await spoken
    assert dict(session.query)["model"] == model
