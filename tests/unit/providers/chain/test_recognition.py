"""The chain of recognisers in one call: take-overs with the utterance heard again, second opinions, and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.providers.chain.scripted import DEADLINES, HEDGED, Reports, failure, links
from tests.unit.providers.chain.scripted_ears import HANG, Ears
from tests.unit.providers.chain.test_language import now, virtual

from voice_agent.clock import LoopClock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import Final, Partial, SpeechRecognizer
from voice_agent.providers.chain.base import StageDeadlines
from voice_agent.providers.chain.recognition import RecognizerChain

HUNDRED_MS = 3_200


class Call:
    """One call that hears by a chain; ``events`` is what came out, with the time."""

    def __init__(self, recognizer: SpeechRecognizer, reports: Reports) -> None:
        self.recognizer = recognizer
        self.reports = reports
        self.events: list[tuple[float, Partial | Final]] = []
        self.error: ProviderError | None = None
        self._utterances = 0

    async def listen(self) -> None:
        try:
            async for event in self.recognizer.events():
                self.events.append((now(), event))
        except ProviderError as error:
            self.error = error

    def begin(self) -> None:
        self._utterances += 1
        self.recognizer.begin(UtteranceId(self._utterances))

    def speak(self, letters: str) -> None:
        """A tenth of a second of each letter, as a door delivers it."""
        for letter in letters:
            for _ in range(5):
                self.recognizer.push(letter.encode() * (HUNDRED_MS // 5))

    async def utterance(self, letters: str, *, within_s: float = 3.0) -> list[str]:
        """Says it and asks for the final; the finals that came."""
        before = len(self.events)
        self.begin()
        self.speak(letters)
        await asyncio.sleep(0.01)
        self.recognizer.finalize()
        await asyncio.sleep(within_s)
        return [event.text for _, event in self.events[before:] if isinstance(event, Final)]


@asynccontextmanager
async def call(
    deadlines: StageDeadlines = DEADLINES, locale: str = "en-US", chain: RecognizerChain | None = None, **ears: Ears
) -> AsyncIterator[Call]:
    chain = chain or of(deadlines, **ears)
    reports = Reports()
    async with chain.open(locale=locale, hints=(), report=reports) as recognizer:
        heard = Call(recognizer, reports)
        listener = asyncio.create_task(heard.listen())
        await asyncio.sleep(0.01)
        try:
            yield heard
        finally:
            listener.cancel()
            await asyncio.wait({listener})
    for one in ears.values():
        assert one.open_now == 0


def of(deadlines: StageDeadlines = DEADLINES, **ears: Any) -> RecognizerChain:
    return RecognizerChain(links(**ears), deadlines, LoopClock(), jitter=lambda: 0.5)


@virtual
async def test_the_preferred_one_hears_the_call_and_nobody_else_is_opened() -> None:
    first, second = Ears(), Ears()
    async with call(HEDGED, a=first, b=second) as heard:
        assert await heard.utterance("abc") == ["abc"]
        assert await heard.utterance("de") == ["de"]
        assert (len(first.opened), len(second.opened), heard.reports.told) == (1, 0, [])


@virtual
async def test_entering_waits_for_no_connection_and_what_is_said_meanwhile_is_heard() -> None:
    begun = now()
    async with call(a=Ears(open_s=0.5)) as heard:
        assert now() - begun < 0.1
        assert await heard.utterance("abc") == ["abc"]


@virtual
async def test_one_that_cannot_be_opened_is_replaced() -> None:
    async with call(a=Ears(open_s=0.2, open_error=failure()), b=Ears()) as heard:
        assert await heard.utterance("abc") == ["abc"]
        assert heard.reports.told == [("a", "b", "network")]


@virtual
async def test_an_unanswered_final_is_asked_of_the_next_with_the_whole_utterance() -> None:
    first, second = Ears(answer_s=HANG), Ears()
    async with call(a=first, b=second) as heard:
        asked = now()
        assert await heard.utterance("abc") == ["abc"]
        assert heard.events[-1][0] - asked == pytest.approx(0.01 + 1.0, abs=0.01)
        assert heard.reports.told == [("a", "b", "timeout")]
        assert await heard.utterance("def") == ["def"]


@virtual
async def test_a_late_final_is_raced_and_given_once() -> None:
    first, second = Ears(answer_s=0.6), Ears(answer_s=0.05)
    async with call(HEDGED, a=first, b=second) as heard:
        asked = now()
        assert await heard.utterance("abc") == ["abc"]
        assert heard.events[-1][0] - asked == pytest.approx(0.46, abs=0.02)
        assert heard.reports.told == [("a", "b", "hedge")]
        assert first.open_now == 0


@virtual
async def test_a_late_final_of_the_preferred_one_may_still_win() -> None:
    first, second = Ears(answer_s=0.5), Ears(answer_s=0.4)
    async with call(HEDGED, a=first, b=second) as heard:
        assert await heard.utterance("abc") == ["abc"]
        assert (heard.reports.told, second.opened[0].finalized, second.open_now) == ([], 1, 0)


@virtual
async def test_one_that_breaks_off_in_mid_utterance_is_replaced_without_losing_a_word() -> None:
    first, second = Ears(), Ears(open_s=0.1)
    async with call(a=first, b=second) as heard:
        heard.begin()
        heard.speak("ab")
        first.break_off(failure())
        await asyncio.sleep(0.05)
        heard.speak("cd")
        await asyncio.sleep(0.1)
        heard.speak("ef")
        heard.recognizer.finalize()
        await asyncio.sleep(1)
        assert [event.text for _, event in heard.events] == ["abcdef"]
        assert heard.reports.told == [("a", "b", "network")]


@virtual
async def test_three_failovers_in_one_call() -> None:
    ears = {"a": Ears(answer_s=HANG), "b": Ears(lose=failure()), "c": Ears(open_error=ValueError("x")), "d": Ears()}
    async with call(**ears) as heard:
        assert await heard.utterance("abc") == ["abc"]
        assert heard.reports.told == [("a", "b", "timeout"), ("b", "c", "network"), ("c", "d", "internal")]


@virtual
async def test_events_of_one_that_was_replaced_are_dropped() -> None:
    first, second = Ears(answer_s=1.2), Ears(answer_s=0.5)
    async with call(a=first, b=second) as heard:
        assert await heard.utterance("abc") == ["abc"]
        first.opened[0].say("ghost")
        await asyncio.sleep(1)
        assert len(heard.events) == 1


@virtual
async def test_the_answer_to_an_abandoned_utterance_is_dropped() -> None:
    first, second = Ears(answer_s=0.5), Ears()
    async with call(a=first, b=second) as heard:
        assert await heard.utterance("ab", within_s=0.1) == []
        assert await heard.utterance("cd") == ["cd"]
        assert [event.utterance_id for _, event in heard.events] == [2]
        assert second.opened == []


@virtual
async def test_a_vendor_that_ends_the_session_between_utterances_is_replaced_at_once() -> None:
    first, second = Ears(), Ears()
    async with call(a=first, b=second) as heard:
        assert await heard.utterance("ab") == ["ab"]
        first.opened[0].out.put_nowait(None)
        await asyncio.sleep(0.1)
        assert second.open_now == 1
        assert await heard.utterance("cd") == ["cd"]


@virtual
async def test_partials_pass_and_an_uncollected_one_is_replaced() -> None:
    first = Ears()
    async with call(a=first) as heard:
        heard.begin()
        first.opened[0].say("he")
        first.opened[0].say("hello")
        await asyncio.sleep(0.1)
        assert heard.events[-1][1] == Partial(UtteranceId(1), "hello")


@virtual
async def test_when_all_fail_twice_the_last_error_leaves_the_chain() -> None:
    first, second = Ears(open_error=failure()), Ears(open_error=failure(ProviderFault.PROTOCOL))
    async with call(a=first, b=second) as heard:
        heard.begin()
        await asyncio.sleep(1)
        assert heard.error is not None
        assert heard.error.category is ProviderFault.PROTOCOL
        round_trip = [("a", "b", "network"), ("b", "a", "protocol"), ("a", "b", "network")]
        assert heard.reports.told == [*round_trip, ("b", "", "protocol")]


@virtual
async def test_one_more_round_may_help() -> None:
    first = Ears()
    async with call(a=first) as heard:
        heard.begin()
        heard.speak("ab")
        first.break_off(failure())
        heard.recognizer.finalize()
        await asyncio.sleep(1)
        assert [event.text for _, event in heard.events] == ["ab"]
        assert heard.reports.told == []


@virtual
async def test_alone_and_hanging_it_gets_patience_and_then_the_call_knows() -> None:
    async with call(a=Ears(answer_s=HANG)) as heard:
        asked = now()
        assert await heard.utterance("abc", within_s=1.9) == []
        assert heard.error is None
        await asyncio.sleep(0.2)
        assert heard.error is not None
        assert now() - asked < 2.2


@virtual
async def test_with_every_breaker_open_the_call_knows_at_once() -> None:
    chain = of(a=Ears(open_error=failure(ProviderFault.AUTH, retryable=False)))
    async with call(chain=chain) as heard:
        assert heard.error is not None
    async with call(chain=chain) as heard:
        assert heard.error is not None
        assert heard.reports.told[-1][:2] == ("a", "")


@virtual
async def test_an_empty_final_is_doubted_where_another_can_be_asked() -> None:
    first, second = Ears(deaf=True), Ears(answer_s=0.2)
    async with call(a=first, b=second) as heard:
        assert await heard.utterance("abc") == ["abc"]
        assert heard.reports.told == [("a", "b", "empty")]


@pytest.mark.parametrize("other", [Ears(deaf=True), Ears(confidence=0.3), Ears(answer_s=HANG), Ears(lose=failure())])
def test_an_empty_final_stands_where_nobody_is_sure_of_words(other: Ears) -> None:
    @virtual
    async def check() -> None:
        async with call(a=Ears(deaf=True), b=replace(other, opened=[])) as heard:
            assert await heard.utterance("abc") == [""]
            assert heard.reports.told == []
            assert heard.error is None

    check()


@virtual
async def test_the_call_returns_to_the_preferred_one_when_it_works_again() -> None:
    first, second = Ears(answer_s=HANG), Ears()
    async with call(a=first, b=second) as heard:
        assert await heard.utterance("abc") == ["abc"]
        first.answer_s = 0.0
        assert await heard.utterance("de") == ["de"]  # the preferred one is opened meanwhile
        assert len(first.opened) == 2
        assert heard.reports.told == [("a", "b", "timeout")]
        assert await heard.utterance("fg") == ["fg"]
        assert heard.reports.told[1:] == [("b", "a", "recovered")]
        assert second.open_now == 0
        assert first.opened[1].heard == b"f" * HUNDRED_MS + b"g" * HUNDRED_MS


@virtual
async def test_while_its_breaker_is_open_the_preferred_one_is_left_alone() -> None:
    first, second = Ears(answer_s=HANG), Ears()
    chain = of(a=first, b=second)
    for _ in range(3):
        async with call(chain=chain) as heard:
            await heard.utterance("ab")
    async with call(chain=chain) as heard:
        assert await heard.utterance("ab", within_s=0.1) == ["ab"]
        assert (len(first.opened), heard.reports.told) == (3, [])


@virtual
async def test_one_call_at_a_time_probes() -> None:
    first, second = Ears(answer_s=HANG), Ears()
    chain = of(a=first, b=second)
    for _ in range(3):
        async with call(chain=chain) as heard:
            await heard.utterance("ab")
    await asyncio.sleep(16)
    async with call(chain=chain) as one, call(chain=chain) as two:
        assert first.open_now == 1
        assert await two.utterance("ab", within_s=0.1) == ["ab"]
        assert await one.utterance("cd") == ["cd"]
        assert one.reports.told == [("a", "b", "timeout")]


@virtual
async def test_a_probe_that_nobody_speaks_to_makes_room() -> None:
    first, second = Ears(answer_s=HANG), Ears()
    chain = of(a=first, b=second)
    for _ in range(3):
        async with call(chain=chain) as heard:
            await heard.utterance("ab")
    first.answer_s = 0.0
    await asyncio.sleep(16)
    async with call(chain=chain):
        await asyncio.sleep(11)
        async with call(chain=chain) as two:
            assert await two.utterance("ab") == ["ab"]
            assert first.open_now == 2


@virtual
async def test_a_probe_whose_utterance_is_dropped_makes_room_too() -> None:
    first, second = Ears(answer_s=HANG), Ears()
    chain = of(a=first, b=second)
    for _ in range(3):
        async with call(chain=chain) as heard:
            await heard.utterance("ab")
    async with call(chain=chain) as heard:
        await asyncio.sleep(16)
        await heard.utterance("ab", within_s=11.0)  # opens the preferred one in reserve, and gives its probe up
        heard.begin()  # it is current again, and asked for nothing
        assert heard.reports.told == [("b", "a", "recovered")]
        await asyncio.sleep(11)
        assert chain.links[0].breaker.would_admit


@virtual
async def test_one_that_wants_silence_hears_all_and_its_successor_only_utterances() -> None:
    first, second = Ears(wants_silence=True), Ears()
    async with call(a=first, b=second) as heard:
        assert heard.recognizer.capabilities.wants_silence
        heard.speak("----------")
        heard.begin()
        heard.speak("ab")
        first.break_off(failure())
        await asyncio.sleep(0.1)
        assert heard.recognizer.capabilities.wants_silence  # whoever feeds us is in the middle of an utterance
        heard.speak("c")
        heard.recognizer.finalize()
        await asyncio.sleep(0.1)
        assert heard.events[-1][1].text == "-abc"
        # Six tenths of a second from before the beginning, and the utterance.
        assert second.opened[0].all == b"-" * 6 * HUNDRED_MS + b"".join(c * HUNDRED_MS for c in (b"a", b"b", b"c"))
        assert not heard.recognizer.capabilities.wants_silence
        heard.begin()
        heard.speak("de")
        heard.recognizer.finalize()
        await asyncio.sleep(0.1)
        assert heard.events[-1][1].text == "de"


@virtual
async def test_back_with_one_that_wants_silence_the_change_waits_for_the_final() -> None:
    first, second = Ears(wants_silence=True, answer_s=HANG), Ears()
    async with call(a=first, b=second) as heard:
        await heard.utterance("ab")
        first.answer_s = 0.0
        await heard.utterance("cd")
        heard.begin()
        heard.speak("ef")
        assert not heard.recognizer.capabilities.wants_silence
        heard.recognizer.finalize()
        await asyncio.sleep(0.1)
        assert heard.events[-1][1].text == "ef"
        assert heard.recognizer.capabilities.wants_silence


@virtual
async def test_the_audio_kept_is_bounded() -> None:
    first, second = Ears(answer_s=HANG), Ears()
    async with call(a=first, b=second) as heard:
        heard.begin()
        for _ in range(100):
            heard.speak("0123456789")
        heard.recognizer.finalize()
        await asyncio.sleep(2)
        assert len(second.opened[0].heard) == 600 * HUNDRED_MS


@virtual
async def test_who_does_not_know_the_language_is_not_asked_where_another_does() -> None:
    polyglot, english = Ears(answer_s=HANG, locales=("ar-SA", "en-US")), Ears(locales=("en-US", "en-GB"))
    async with call(a=polyglot, b=english, locale="ar-EG") as heard:
        assert await heard.utterance("abc") == []
        assert (heard.error is not None, english.opened) == (True, [])
    async with call(b=english, locale="ar-EG") as heard:
        assert await heard.utterance("abc") == ["abc"]


@virtual
async def test_leaving_closes_all_at_once() -> None:
    first, second = Ears(answer_s=HANG), Ears(answer_s=HANG)
    async with call(HEDGED, a=first, b=second) as heard:
        await heard.utterance("ab", within_s=0.5)
        assert (first.open_now, second.open_now) == (1, 1)
        left = now()
    assert now() == left


EAR = st.builds(
    Ears,
    answer_s=st.sampled_from([0.0, 0.1, 0.39, 0.4, 0.6, 0.99, 1.0, 1.3, HANG]),
    open_s=st.sampled_from([0.0, 0.05, 0.5, 1.1]),
    wants_silence=st.booleans(),
    open_error=st.sampled_from([None, None, None, failure(), failure(ProviderFault.AUTH, retryable=False)]),
    lose=st.sampled_from([None, None, None, failure()]),
    deaf=st.sampled_from([False, False, True]),
    confidence=st.sampled_from([1.0, 0.2]),
)
BREAKS = st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 4)), max_size=3)


@settings(deadline=None, max_examples=150)
@given(st.lists(EAR, min_size=1, max_size=3), BREAKS, st.integers(1, 4), st.booleans())
def test_every_question_gets_exactly_one_answer_or_the_call_knows(
    ears: list[Ears], breaks: list[tuple[str, float]], utterances: int, hedged: bool
) -> None:
    """Whatever providers do, and whenever: never two finals for one question, none lost, no words of another utterance."""

    @virtual
    async def check() -> None:
        named = {name: replace(one, opened=[], open_now=0) for name, one in zip("abc", ears, strict=False)}
        async with call(HEDGED if hedged else DEADLINES, **named) as heard:
            loop = asyncio.get_running_loop()
            for name, at_s in breaks:
                if name in named:
                    loop.call_later(at_s, _break_off, named[name])
            for number in range(utterances):
                letters = "klmnop"[number]
                if heard.recognizer.capabilities.wants_silence:
                    heard.speak("-" * 7)
                finals = [text.strip("-") for text in await heard.utterance(letters, within_s=8.0)]
                if heard.error is not None:
                    assert len(finals) <= 1
                    return
                assert finals in ([letters], [""])

    check()


def _break_off(ears: Ears) -> None:
    if ears.opened:
        ears.break_off(failure())
