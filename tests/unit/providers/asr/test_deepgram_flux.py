"""Deepgram's v2 recognition (Flux), message by message: the vendor judges turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.unit.providers.deepgram_wire import DEADLINE_S, Session, Wire, deepgram_wire, turn

from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import AsrEvent, Final, Partial
from voice_agent.providers.asr.deepgram import DeepgramRecognizerFactory
from voice_agent.providers.deepgram.recognizer import DeepgramRecognizer

FIRST, SECOND = UtteranceId(1), UtteranceId(2)
CONNECTED = {"type": "Connected", "request_id": "r", "sequence_id": 0}


@asynccontextmanager
async def call(
    model: str = "flux-general-en", locale: str = "en-US"
) -> AsyncIterator[tuple[DeepgramRecognizer, Wire, Session]]:
    async with deepgram_wire() as wire:
        factory = DeepgramRecognizerFactory(wire.settings, model=model)
        async with factory.open(locale=locale, hints=("refund",)) as recognizer:
            session = await wire.session(1)
            await session.say(CONNECTED)
            yield recognizer, wire, session


def audio(seconds: float) -> bytes:
    return b"\x01\x00" * round(seconds * 16_000)


async def next_event(events: AsyncIterator[AsrEvent]) -> AsrEvent:
    async with asyncio.timeout(DEADLINE_S):
        return await anext(events)


async def next_final(events: AsyncIterator[AsrEvent]) -> Final:
    while not isinstance(event := await next_event(events), Final):
        pass
    return event


async def test_the_connection_asks_for_turns_and_eager_ends() -> None:
    async with call("flux-general-multi", "es-ES") as (_, _, session):
        asked = dict(session.query)
    assert session.path == "/v2/listen"
    assert (asked["eot_threshold"], asked["eager_eot_threshold"], asked["eot_timeout_ms"]) == ("0.7", "0.4", "3000")
    assert (asked["language_hint"], asked["keyterm"], asked["mip_opt_out"]) == ("es", "refund", "true")


async def test_audio_goes_in_pieces_of_80_ms() -> None:
    async with call() as (recognizer, _, session):
        for _ in range(10):
            recognizer.push(audio(0.05))
        await session.until_audio_s(0.48)
        assert {len(piece) for piece in session.received} == {2560}


async def test_turn_events_become_drafts_and_the_end_of_our_turn() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(4.0))
        await session.until_audio_s(4.0)
        await session.say(turn("Update", 0.0, 0.25), turn("StartOfTurn", 0.0, 1.0, "I want"))
        assert await next_event(events) == Partial(FIRST, "I want", pytest.approx(0.8))
        await session.say(turn("EagerEndOfTurn", 0.0, 1.5, "I want that."))
        likely = await next_event(events)
        assert isinstance(likely, Final)
        assert (likely.text, likely.ends_turn) == ("I want that.", False)
        await session.say(turn("TurnResumed", 0.0, 1.7, "I want that."))
        assert await next_event(events) == Partial(FIRST, "I want that.", pytest.approx(0.8), resumed=True)
        await session.say(turn("Update", 0.0, 2.5, "I want that one."))
        assert await next_event(events) == Partial(FIRST, "I want that one.", pytest.approx(0.8))
        await session.say(turn("EagerEndOfTurn", 0.0, 2.8, "I want that one."))
        assert not (await next_final(events)).ends_turn
        await session.say(turn("EndOfTurn", 0.0, 3.0, "I want that one."))
        sure = await next_event(events)
    assert isinstance(sure, Final)
    assert (sure.text, sure.ends_turn) == ("I want that one.", True)
    assert len(sure.words) == 4


async def test_an_utterance_may_span_several_turns_of_the_vendor() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(6.0))
        await session.until_audio_s(6.0)
        await session.say(turn("StartOfTurn", 0.0, 1.0, "four two"), turn("EndOfTurn", 0.0, 1.5, "four two"))
        assert (await next_final(events)).text == "four two"
        await session.say(turn("Update", 1.5, 2.0, index=1), turn("StartOfTurn", 1.5, 3.0, "seven", index=1))
        await session.say(turn("EndOfTurn", 1.5, 3.5, "seven one", index=1))
        assert (await next_final(events)).text == "four two seven one"


async def test_a_turn_over_two_utterances_is_cut_between_its_words() -> None:
    async with call() as (recognizer, _, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(2.0))
        recognizer.finalize()
        await session.until_audio_s(2.0)
        await session.say(turn("StartOfTurn", 0.0, 2.0, "my order"))
        assert (await next_final(events)).text == "my order"
        recognizer.push(audio(1.0))
        recognizer.begin(SECOND)
        recognizer.push(audio(1.0))
        await session.until_audio_s(3.9)
        await session.say(turn("EndOfTurn", 0.0, 3.8, "my order no the other one"))
        final = await next_final(events)
    assert (final.utterance_id, final.text) == (SECOND, "no the other one")


async def test_finalize_is_answered_when_the_vendor_has_listened_so_far() -> None:
    async with call() as (recognizer, _, session):
        recognizer.begin(FIRST)
        recognizer.push(audio(1.01))
        recognizer.finalize()
        await session.until_audio_s(1.01)  # what is less than a piece is sent too
        await session.say(turn("StartOfTurn", 0.0, 0.5, "Yes"), turn("Update", 0.0, 1.0, "Yes please"))
        assert (await next_final(recognizer.events())).text == "Yes please"
        assert session.texts == []  # v2 knows no Finalize and ends the session for it


async def test_finalize_makes_do_with_a_little_less_after_a_while() -> None:
    async with call() as (recognizer, _, session):
        recognizer.begin(FIRST)
        recognizer.push(audio(1.2))
        recognizer.finalize()
        await session.until_audio_s(1.2)
        await session.say(turn("StartOfTurn", 0.0, 1.0, "Yes"))
        assert (await next_final(recognizer.events())).text == "Yes"


async def test_a_likely_end_answers_at_once() -> None:
    async with call() as (recognizer, _, session):
        recognizer.begin(FIRST)
        recognizer.push(audio(1.2))
        recognizer.finalize()
        recognizer.finalize()
        await session.until_audio_s(1.2)
        await session.say(turn("StartOfTurn", 0.0, 0.8, "Yes"), turn("EndOfTurn", 0.0, 1.1, "Yes."))
        events = recognizer.events()
        first, second = await next_final(events), await next_final(events)
    assert first == second
    assert (first.text, first.ends_turn) == ("Yes.", True)


async def test_words_without_times_are_spread_over_the_turn() -> None:
    """Servers told words' times only later; a turn's window begins long before its words."""
    async with call() as (recognizer, _, session):
        recognizer.push(audio(5.0))
        recognizer.begin(FIRST)
        recognizer.push(audio(1.0))
        await session.until_audio_s(5.9)
        await session.say(turn("StartOfTurn", 0.0, 5.3, "Hello", timed=False))
        await session.say(turn("EndOfTurn", 0.0, 5.9, "Hello there.", timed=False))
        final = await next_final(recognizer.events())
    assert final.text == "Hello there."
    assert 0.0 <= final.words[0].start_s < final.words[1].start_s < final.words[1].end_s <= 1.4


async def test_a_new_session_hears_the_turn_from_its_beginning() -> None:
    async with call() as (recognizer, wire, session):
        events = recognizer.events()
        recognizer.begin(FIRST)
        recognizer.push(audio(4.0))
        await session.until_audio_s(4.0)
        await session.say(turn("StartOfTurn", 0.0, 1.0, "One."), turn("EndOfTurn", 0.0, 1.5, "One."))
        assert (await next_final(events)).text == "One."
        await session.say(turn("StartOfTurn", 1.5, 3.0, "And two", index=1))
        assert (await next_event(events)).text == "One. And two"
        await session.end(1011, "See https://dpgr.am/net0000")
        again = await wire.session(2)
        await again.until_audio_s(2.4)
        assert len(again.audio) == len(audio(2.5)) // 2560 * 2560  # from the end of the first turn
        # What the vendor does not know yet again is not taken back.
        await again.say(CONNECTED, turn("Update", 0.0, 0.25), turn("StartOfTurn", 0.0, 1.0, "And"))
        await again.say(turn("Update", 0.0, 2.0, "And two more"))
        assert (await next_event(events)).text == "One. And two more"
        await again.say(turn("EndOfTurn", 0.0, 2.4, "And two more."))
        assert (await next_final(events)).text == "One. And two more."


async def test_a_fatal_error_twice_is_a_loss() -> None:
    error = {"type": "Error", "sequence_id": 1, "code": "INTERNAL_SERVER_ERROR", "description": "caller text"}
    async with call() as (recognizer, wire, session):
        await session.say(error)
        await (await wire.session(2)).say(error)
        with pytest.raises(ProviderError, match="INTERNAL_SERVER_ERROR") as caught:
            await next_final(recognizer.events())
    assert caught.value.category is ProviderFault.PROTOCOL
    assert "caller text" not in str(caught.value)
