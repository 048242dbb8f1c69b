"""Deepgram's v1 recognition, message by message: the vendor's side is in the test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from tests.unit.providers.deepgram_wire import (
    BYTES_PER_S,
    DEADLINE_S,
    KEY,
    Session,
    Wire,
    deepgram_wire,
    refusing,
    results,
)

from voice_agent.config import DeepgramSettings
from voice_agent.errors import BugError, ProviderError, ProviderFault
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import AsrEvent, Final, Partial
from voice_agent.providers.asr.deepgram import DeepgramRecognizerFactory
from voice_agent.providers.deepgram import recognizer as recognizing
from voice_agent.providers.deepgram.recognizer import DeepgramRecognizer

FIRST, SECOND = UtteranceId(1), UtteranceId(2)


def audio(seconds: float, value: int = 1) -> bytes:
    return value.to_bytes(2, "little", signed=True) * round(seconds * BYTES_PER_S / 2)


def opened(
    settings: DeepgramSettings, *, connect_s: float = 5.0, hints: tuple[str, ...] = ()
) -> AbstractAsyncContextManager[DeepgramRecognizer]:
    return DeepgramRecognizerFactory(settings, connect_s=connect_s).open(locale="en-US", hints=hints)


@asynccontextmanager
async def call() -> AsyncIterator[tuple[DeepgramRecognizer, Wire, Session]]:
    async with deepgram_wire() as wire, opened(wire.settings) as recognizer:
        yield recognizer, wire, await wire.session(1)


async def next_event(events: AsyncIterator[AsrEvent]) -> AsrEvent:
    async with asyncio.timeout(DEADLINE_S):
        return await anext(events)


async def next_final(events: AsyncIterator[AsrEvent]) -> Final:
    while not isinstance(event := await next_event(events), Final):
        pass
    return event


async def lost(recognizer: DeepgramRecognizer) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await next_final(recognizer.events())
    return caught.value


async def test_the_connection_asks_for_what_the_call_needs() -> None:
    async with deepgram_wire() as wire, opened(wire.settings, hints=("order number", "order number", " ", "x" * 200)):
        session = await wire.session(1)
    asked = dict(session.query)
    assert session.path == "/v1/listen"
    assert session.key == f"Token {KEY}"
    assert asked["model"] == "nova-3"
    assert (asked["language"], asked["encoding"], asked["sample_rate"]) == ("en-US", "linear16", "16000")
    assert (asked["interim_results"], asked["smart_format"], asked["vad_events"]) == ("true", "true", "true")
    assert (asked["utterance_end_ms"], asked["mip_opt_out"]) == ("1000", "true")
    assert [value for name, value in session.query if name == "keyterm"] == ["order number"]


@pytest.mark.parametrize(
    ("model", "locale", "path", "language"),
    [
        ("nova-3", "en-GB", "/v1/listen", "en-GB"),
        ("nova-2-phonecall", "es-ES", "/v1/listen", "es"),
        ("flux-general-en", "en-US", "/v2/listen", None),
    ],
)
async def test_the_model_decides_the_api(model: str, locale: str, path: str, language: str | None) -> None:
    async with deepgram_wire() as wire:
        factory = DeepgramRecognizerFactory(wire.settings, model=model)
        async with factory.open(locale=locale, hints=("refund", "order number")):
            session = await wire.session(1)
    assert session.path == path
    assert dict(session.query).get("language") == language
    terms = [(name, value) for name, value in session.query if name.startswith("key")]
    assert terms == (
        [("keywords", "refund")] if "nova-2" in model else [("keyterm", "refund"), ("keyterm", "order number")]
    )


async def test_segments_are_joined_to_one_utterance() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(4.0))
        await session.until_audio_s(4.0)
        await session.say(results(0.0, 1.0, "Where is", at_s=0.2, final=False))
        assert await next_event(events) == Partial(FIRST, "Where is", pytest.approx(0.9))
        await session.say(results(0.0, 1.5, "Where is my order?", at_s=0.2), results(1.5, 2.5, "I", final=False))
        assert (await next_event(events)).text.startswith("Where is my order?")
        await session.say(results(1.5, 4.0, "I want it.", at_s=2.0, speech_final=True))
        final = await next_final(events)
    assert final.text == "Where is my order? I want it."
    assert [word.text for word in final.words] == final.text.split()
    assert (final.words[0].start_s, final.words[4].start_s) == (pytest.approx(0.2), pytest.approx(2.0))
    assert final.confidence == pytest.approx(0.9)
    assert not final.ends_turn


async def test_finalize_comes_after_all_the_audio_and_is_answered_once() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(1.01))
        recognizer.finalize()
        await session.until_type("Finalize")
        assert len(session.audio) == len(audio(1.01))
        await session.say(results(0.0, 1.01, "Yes.", at_s=0.2, finalized=True, speech_final=True))
        assert (await next_event(events)) == await _repeated(recognizer, events)
        assert session.types.count("Finalize") == 1


async def _repeated(recognizer: DeepgramRecognizer, events: AsyncIterator[AsrEvent]) -> AsrEvent:
    """Nothing new was heard since: the answer is there without the vendor."""
    recognizer.finalize()
    return await next_event(events)


async def test_two_requests_get_two_answers_in_order() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(1.0))
        recognizer.finalize()
        recognizer.push(audio(1.0))
        recognizer.finalize()
        await session.until_type("Finalize", 2)
        await session.say(results(0.0, 1.0, "One.", finalized=True))
        assert (await next_final(events)).text == "One."
        await session.say(results(1.0, 2.0, "Two.", finalized=True))
        assert (await next_final(events)).text == "One. Two."


async def test_a_vendor_that_need_not_answer_is_not_waited_for() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(1.0))
        await session.until_audio_s(1.0)
        await session.say(results(0.0, 1.0, "Yes.", speech_final=True))
        assert (await next_final(events)).text == "Yes."
        recognizer.push(audio(0.2, 0))
        recognizer.finalize()
        await session.until_type("Finalize")
        assert (await next_final(events)).text == "Yes."


async def test_no_answer_is_made_up_for_a_vendor_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognizing, "_PATIENCE_S", 0.001)
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(2.0))
        recognizer.finalize()
        await session.until_type("Finalize")
        out_of_patience = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, out_of_patience.set)
        await out_of_patience.wait()
        await session.say(results(0.0, 2.0, "Better late.", finalized=True))
        assert (await next_event(events)).text == "Better late."


async def test_an_explicitly_empty_answer_is_an_answer() -> None:
    async with call() as (recognizer, _, session):
        recognizer.begin(FIRST)
        recognizer.push(audio(2.0, 0))
        recognizer.finalize()
        await session.until_type("Finalize")
        await session.say(results(0.0, 2.0, "", finalized=True))
        assert await next_event(recognizer.events()) == Final(FIRST, "", 0.0)


async def test_a_pause_reported_while_an_answer_is_due_is_not_the_answer() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(3.0))
        recognizer.finalize()
        await session.until_type("Finalize")
        await session.say(results(0.0, 1.5, "First.", speech_final=True))
        await session.say(results(1.5, 3.0, "Second.", finalized=True))
        assert (await next_final(events)).text == "First. Second."


async def test_the_end_of_an_utterance_takes_the_newest_guess_too() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(2.0))
        await session.until_audio_s(2.0)
        await session.say(
            results(0.0, 1.0, "Hello."),
            results(1.0, 2.0, "there", final=False),
            {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 1.2},
        )
        assert (await next_final(events)).text == "Hello. there"


async def test_words_from_just_before_the_onset_belong_to_the_utterance() -> None:
    """The detector is sure only some time after the first word began; the vendor may even have told it by then."""
    async with call() as (recognizer, _, session):
        recognizer.push(audio(5.0))
        await session.until_audio_s(5.0)
        await session.say(results(3.0, 3.6, "noise", at_s=3.1), results(4.5, 5.0, "Yes", at_s=4.7, final=False))
        await session.say({"type": "SpeechStarted", "channel": [0], "timestamp": 4.7})
        events = recognizer.events()
        recognizer.push(audio(0.02))
        recognizer.begin(FIRST)
        recognizer.push(audio(1.0))
        recognizer.finalize()
        await session.until_type("Finalize")
        await session.say(results(4.5, 6.02, "Yes please.", at_s=4.7, finalized=True))
        final = await next_final(events)
    assert final.text == "Yes please."
    assert final.words[0].start_s == pytest.approx(4.7 - (5.02 - 0.4))


async def test_late_results_do_not_leak_into_the_next_utterance() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(2.0))
        recognizer.finalize()
        await session.until_type("Finalize")
        recognizer.push(audio(0.2))
        recognizer.begin(SECOND)
        recognizer.push(audio(0.8))
        recognizer.finalize()
        await session.until_type("Finalize", 2)
        await session.say(results(0.0, 2.0, "My old words.", at_s=1.0, finalized=True))
        await session.say(results(2.0, 3.0, "New ones.", at_s=2.2, finalized=True))
        final = await next_final(events)
    assert (final.utterance_id, final.text) == (SECOND, "New ones.")


async def test_a_segment_over_the_border_is_cut_between_its_words() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(2.0))
        recognizer.begin(SECOND)
        recognizer.push(audio(1.0))
        recognizer.finalize()
        await session.until_type("Finalize")
        await session.say(results(0.0, 3.0, "one two three four five", at_s=1.1, finalized=True))
        assert (await next_final(events)).text == "three four five"


async def test_a_repeated_begin_changes_nothing_and_finalize_needs_one() -> None:
    async with call() as (recognizer, _, session):
        with pytest.raises(BugError):
            recognizer.finalize()
        recognizer.begin(FIRST)
        recognizer.push(audio(1.0))
        recognizer.finalize()
        recognizer.begin(FIRST)
        await session.until_type("Finalize")
        await session.say(results(0.0, 1.0, "Yes.", finalized=True))
        assert (await next_final(recognizer.events())).text == "Yes."


@pytest.mark.parametrize("end", ["recycled", "reset", "garbage", "error"])
async def test_a_session_that_ends_in_mid_call_is_opened_again_without_gap_or_double(end: str) -> None:
    async with call() as (recognizer, wire, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(1.0, 1) + audio(1.0, 2))
        await session.until_audio_s(2.0)
        await session.say(results(0.0, 1.0, "Where is", at_s=0.2), results(1.0, 2.0, "my order", at_s=1.2, final=False))
        while (await next_event(events)).text != "Where is my order":
            pass
        match end:
            case "recycled":
                await session.end(1000)
            case "reset":
                session.cut()
            case "garbage":
                await session.say('{"type": "Res')
            case "error":
                await session.say({"type": "Error", "variant": "Oops", "description": "no"})
        again = await wire.session(2)
        recognizer.push(audio(1.0, 3))
        recognizer.finalize()
        await again.until_type("Finalize")
        assert again.audio == audio(1.0, 2) + audio(1.0, 3)  # from the last settled word on
        # Catching up is not told: the caller's words do not shrink.
        await again.say(results(0.0, 0.5, "my", at_s=0.2, final=False))
        await again.say(results(0.0, 2.0, "my order now?", at_s=0.2, finalized=True))
        final = await next_event(events)
    assert isinstance(final, Final)
    assert final.text == "Where is my order now?"
    assert [round(word.start_s, 2) for word in final.words] == [0.2, 0.5, 1.2, 1.5, 1.8]


async def test_an_unanswered_request_is_put_to_the_new_session() -> None:
    async with call() as (recognizer, wire, session):
        recognizer.begin(FIRST)
        recognizer.push(audio(1.0))
        recognizer.finalize()
        await session.until_type("Finalize")
        session.cut()
        again = await wire.session(2)
        await again.until_type("Finalize")
        assert len(again.audio) == len(audio(1.0))
        await again.say(results(0.0, 1.0, "Yes.", finalized=True))
        assert (await next_final(recognizer.events())).text == "Yes."


async def test_audio_gathers_while_there_is_no_connection() -> None:
    async with deepgram_wire() as wire, opened(wire.settings) as recognizer:
        recognizer.begin(FIRST)
        recognizer.push(audio(0.5))
        recognizer.finalize()
        session = await wire.session(1)
        await session.until_type("Finalize")
        assert len(session.audio) == len(audio(0.5))


async def test_of_too_much_audio_the_oldest_is_dropped() -> None:
    async with call() as (recognizer, wire, session):
        recognizer.begin(FIRST)
        for second in range(40):
            recognizer.push(audio(1.0))
            await session.until_audio_s(second + 1)
        session.cut()
        again = await wire.session(2)
        await again.until_audio_s(30.0)
        recognizer.push(audio(0.1, 7))
        recognizer.finalize()
        await again.until_type("Finalize")
        await again.say(results(0.0, 30.1, "still here", at_s=29.0, finalized=True))
        final = await next_final(recognizer.events())
    assert [round(word.start_s, 2) for word in final.words] == [39.0, 39.3]


async def test_two_failures_in_a_row_are_a_loss() -> None:
    async with call() as (recognizer, wire, session):
        session.cut()
        (await wire.session(2)).cut()
        assert (await lost(recognizer)).category is ProviderFault.NETWORK
        recognizer.push(audio(1.0))  # harmless afterwards
    assert wire.count == 2


async def test_what_was_settled_makes_the_next_failure_the_first_again() -> None:
    async with call() as (recognizer, wire, session):
        recognizer.begin(FIRST)
        for number in (1, 2, 3):
            session = await wire.session(number)
            recognizer.push(audio(1.0))
            await session.until_audio_s(1.0)
            await session.say(results(0.0, 1.0, f"Word{number}"))
            await next_event(recognizer.events())
            session.cut()
        session = await wire.session(4)
        recognizer.finalize()
        assert (await next_final(recognizer.events())).text == "Word1 Word2 Word3"


@pytest.mark.parametrize(
    ("status", "category", "attempts"),
    [
        (401, ProviderFault.AUTH, 1),
        (402, ProviderFault.QUOTA, 1),
        (403, ProviderFault.AUTH, 1),
        (429, ProviderFault.RATE, 1),
        (400, ProviderFault.PROTOCOL, 1),
        (503, ProviderFault.INTERNAL, 2),
    ],
)
async def test_a_refused_connection_says_what_to_do(status: int, category: ProviderFault, attempts: int) -> None:
    body = '{"err_code": "SOME_CODE", "err_msg": "caller text"}'
    async with (
        deepgram_wire(refusing(status, {"retry-after": "7"}, body)) as wire,
        opened(wire.settings) as recognizer,
    ):
        error = await lost(recognizer)
        assert wire.attempts == attempts
    assert error.category is category
    assert error.retryable == (status in (429, 503))
    assert error.retry_after_s == (7.0 if status == 429 else None)
    assert f"{status} SOME_CODE" in str(error)
    assert KEY not in str(error)
    assert "caller text" not in str(error)


async def test_nobody_at_the_address_is_a_network_fault() -> None:
    async with deepgram_wire() as wire:
        settings = wire.settings
    async with opened(settings) as recognizer:
        assert (await lost(recognizer)).category is ProviderFault.NETWORK


async def test_a_plain_answer_to_tls_is_a_network_fault() -> None:
    async with deepgram_wire() as wire:
        settings = DeepgramSettings(DEEPGRAM_URL=wire.url.replace("http", "https"), DEEPGRAM_API_KEY=KEY)
        async with opened(settings) as recognizer:
            assert (await lost(recognizer)).category is ProviderFault.NETWORK


async def test_a_server_that_accepts_and_hangs_is_given_up_within_the_connect_deadline() -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        settings = DeepgramSettings(DEEPGRAM_URL=f"http://127.0.0.1:{port}", DEEPGRAM_API_KEY=KEY)
        async with opened(settings, connect_s=0.05) as recognizer:
            error = await lost(recognizer)
        for writer in held:
            writer.close()
    assert error.category is ProviderFault.TIMEOUT


async def test_keep_alive_is_sent_while_no_audio_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognizing, "KEEP_ALIVE_S", 0.01)
    async with call() as (_, _, session):
        await session.until_type("KeepAlive", 2)
    assert all(isinstance(message, dict) for message in session.received)


async def test_a_session_that_ended_for_want_of_audio_is_opened_when_there_is_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recognizing, "_IDLE_S", -1.0)
    async with call() as (recognizer, wire, session):
        await session.end(1011, "Deepgram did not receive audio data. See https://dpgr.am/net0001")
        await session.until_gone()
        recognizer.push(audio(1.0))
        again = await wire.session(2)
        await again.until_audio_s(1.0)


async def test_leaving_says_goodbye_and_ends_everything() -> None:
    async with deepgram_wire() as wire:
        async with opened(wire.settings) as recognizer:
            session = await wire.session(1)
            recognizer.begin(FIRST)
            recognizer.push(audio(1.0))
            await session.until_audio_s(1.0)
            events = recognizer.events()
        await session.until_gone()
        assert session.types == ["CloseStream"]
        with pytest.raises(StopAsyncIteration):
            await next_event(events)
