"""The chain of synthesisers: who says what when one fails, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest
import structlog.testing
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.providers.chain.scripted import DEADLINES, HANG, HEDGED, Reports, Scripted, failure, links
from tests.unit.providers.chain.test_language import now, virtual

from voice_agent.clock import LoopClock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.chain.base import StageDeadlines
from voice_agent.providers.chain.speech import SynthesizerChain, rest_of
from voice_agent.providers.circuit_breaker import BreakerState

SENTENCE = "Your order left the warehouse this morning, and it should reach you on Friday."


def chain(deadlines: StageDeadlines = DEADLINES, **providers: Scripted) -> SynthesizerChain:
    return SynthesizerChain(links(**providers), deadlines, LoopClock(), jitter=lambda: 0.5)


def audio(seconds: float, mark: bytes = b"a", rate_hz: int = 24_000) -> bytes:
    return mark * (2 * round(seconds * rate_hz))


async def said(
    voices: SynthesizerChain,
    text: str = SENTENCE,
    reports: Reports | None = None,
    locale: str = "en-US",
    voice: str = "",
) -> bytes:
    async with aclosing(voices.synthesize(text, locale=locale, report=reports or Reports(), voice=voice)) as chunks:
        return b"".join([chunk async for chunk in chunks])


def asked(voice: Scripted) -> list[str]:
    return [text for _, text in voice.asked]


@virtual
async def test_the_preferred_voice_speaks() -> None:
    first, second = Scripted([[audio(1)]]), Scripted([[audio(1, b"b")]])
    assert await said(chain(HEDGED, a=first, b=second)) == audio(1)
    assert asked(second) == []


@virtual
async def test_a_failure_before_any_audio_makes_the_next_say_all_of_it() -> None:
    first, second, reports = Scripted([[0.1, failure()]]), Scripted([[audio(1)]]), Reports()
    assert await said(chain(a=first, b=second), reports=reports) == audio(1)
    assert asked(second) == [SENTENCE]
    assert reports.told == [("a", "b", "network")]


@virtual
async def test_a_hang_in_mid_sentence_makes_the_next_go_on_from_the_word_under_way() -> None:
    first, second = Scripted([[audio(2.0), HANG]]), Scripted([[audio(1, b"b")]])
    begun, reports = now(), Reports()
    assert await said(chain(a=first, b=second), reports=reports) == audio(2.0) + audio(1, b"b")
    assert now() - begun == pytest.approx(0.5)
    (rest,) = asked(second)
    assert SENTENCE.endswith(" " + rest)
    # Two of about five seconds are said.
    assert 0.4 < len(rest) / len(SENTENCE) < 0.8
    assert reports.told == [("a", "b", "timeout")]


@virtual
async def test_after_a_moment_of_audio_all_of_it_is_said_again() -> None:
    first, second = Scripted([[audio(0.2), failure()]]), Scripted([[audio(1)]])
    await said(chain(a=first, b=second))
    assert asked(second) == [SENTENCE]


@virtual
async def test_a_second_failover_goes_on_where_the_first_one_stopped() -> None:
    first, second, third = Scripted([[audio(2), failure()]]), Scripted([[audio(1), failure()]]), Scripted([[audio(1)]])
    await said(chain(a=first, b=second, c=third))
    (middle,), (end,) = asked(second), asked(third)
    assert SENTENCE.endswith(" " + middle)
    assert middle.endswith(" " + end)


@given(
    st.lists(st.text("abc1,.", min_size=1, max_size=8), min_size=1, max_size=20).map(" ".join),
    st.floats(0, 30, allow_nan=False),
)
def test_the_rest_is_always_the_end_of_the_text(text: str, given_s: float) -> None:
    rest = rest_of(text, given_s)
    assert rest
    assert text.endswith(rest)
    assert text == rest or text[-len(rest) - 1] == " "
    assert len(rest_of(text, given_s + 1)) <= len(rest)


@virtual
async def test_other_rates_are_brought_to_24_khz() -> None:
    t = np.arange(16_000) / 16_000
    tone = (8_000 * np.sin(2 * np.pi * 440 * t)).astype("<i2").tobytes()
    voice = Scripted([[tone[:10_001], tone[10_001:]]], sample_rate_hz=16_000)
    samples = np.frombuffer(await said(chain(a=voice)), "<i2").astype(float)
    assert samples.size == pytest.approx(24_000, abs=100)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 24_000 / samples.size == pytest.approx(440, abs=3)


@virtual
async def test_the_next_starts_beside_a_late_one() -> None:
    first, second, reports = Scripted([[HANG]]), Scripted([[0.1, audio(1)]]), Reports()
    begun = now()
    assert await said(chain(HEDGED, a=first, b=second), reports=reports) == audio(1)
    assert now() - begun == pytest.approx(0.5)
    assert reports.told == [("a", "b", "hedge")]


@virtual
async def test_audio_that_drips_is_a_failure_while_somebody_else_could_speak() -> None:
    drip = [step for _ in range(100) for step in (audio(0.02), 0.2)]
    first, second, reports = Scripted([drip]), Scripted([[audio(1, b"b")]]), Reports()
    begun = now()
    assert (await said(chain(a=first, b=second), reports=reports)).endswith(audio(1, b"b"))
    assert now() - begun < 1.0
    assert reports.told == [("a", "b", "timeout")]


@virtual
async def test_a_slow_listener_is_no_fault_of_the_voice() -> None:
    voice, backup = Scripted([[audio(0.1)] * 300]), Scripted([[audio(1)]])
    total = 0
    async with aclosing(chain(a=voice, b=backup).synthesize(SENTENCE, locale="en-US", report=Reports())) as chunks:
        async for chunk in chunks:
            total += len(chunk)
            await asyncio.sleep(2)
    assert total == len(audio(30))
    assert asked(backup) == []


@pytest.mark.parametrize("text", ["", "  ", "...", "**", "😀", "\n"])
def test_text_without_letters_and_digits_asks_nobody(text: str) -> None:
    @virtual
    async def check() -> None:
        voice = Scripted([[audio(1)]])
        assert await said(chain(a=voice), text) == b""
        assert asked(voice) == []

    check()


@virtual
async def test_a_voice_without_the_language_passes_the_text_on_and_keeps_its_standing() -> None:
    english, arabic = Scripted([[]]), Scripted([[audio(1)]])
    voices = chain(a=english, b=arabic)
    for _ in range(5):
        assert await said(voices, "مرحبا", locale="ar-SA") == audio(1)
    assert voices.links[0].breaker.state is BreakerState.CLOSED


@virtual
async def test_a_voice_that_gives_nothing_for_its_own_language_is_passed_over() -> None:
    first, second, reports = Scripted([[]]), Scripted([[audio(1)]]), Reports()
    voices = chain(a=first, b=second)
    assert await said(voices, reports=reports) == audio(1)
    assert reports.told == [("a", "b", "empty")]
    for _ in range(4):
        await said(voices)
    assert len(first.asked) == 3


@virtual
async def test_no_audio_from_anybody_is_an_error() -> None:
    with pytest.raises(ProviderError) as caught:
        await said(chain(a=Scripted([[]]), b=Scripted([[]])))
    assert caught.value.category is ProviderFault.EMPTY


@virtual
async def test_cancelling_the_listener_closes_the_synthesis_at_once() -> None:
    voice = Scripted([[audio(1), HANG]])
    listener = asyncio.create_task(said(chain(a=voice)))
    await asyncio.sleep(0.5)
    listener.cancel()
    cancelled_at = now()
    with pytest.raises(asyncio.CancelledError):
        await listener
    assert voice.closed_at == [pytest.approx(cancelled_at)]


@virtual
async def test_a_chain_of_one_is_made_in_one_line() -> None:
    voices = SynthesizerChain.of(Scripted([[audio(1)]]), LoopClock())
    await voices.warm_up()
    assert (await said(voices), voices.sample_rate_hz) == (audio(1), 24_000)


class Choosy(Scripted):
    """Refuses every voice but ``known`` as vendors do, says all else; with ``late``, after the first audio."""

    def __init__(self, *known: str, late: bool = False, retryable: bool = False) -> None:
        super().__init__([[audio(1)]])
        self.known = known
        self.late = late
        self.retryable = retryable
        self.voices: list[str] = []

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        self.voices.append(voice)
        if voice not in self.known:
            if self.late:
                yield audio(2.0)
            raise failure(ProviderFault.PROTOCOL, retryable=self.retryable)
        async for chunk in super().synthesize(text, locale=locale, voice=voice):
            yield chunk


@virtual
async def test_one_agents_wrong_voice_leaves_all_agents_a_voice() -> None:
    vendor, reports = Choosy("", "nova"), Reports()
    voices = chain(a=vendor)
    with structlog.testing.capture_logs() as lines:
        for _ in range(8):
            assert await said(voices, reports=reports, voice="nobody") == audio(1)
    assert await said(voices, voice="nova") == audio(1)
    assert vendor.voices == ["nobody", *[""] * 8, "nova"], "the wrong name is asked for once"
    assert voices.links[0].breaker.state is BreakerState.CLOSED
    assert reports.told == []
    told = [(line["log_level"], line["provider"], line["voice"]) for line in lines]
    assert told == [("warning", "a", "nobody")]


@virtual
async def test_a_voice_that_one_provider_refuses_is_asked_for_at_the_next() -> None:
    first, second = Choosy(""), Choosy("", "nova")
    voices = chain(a=first, b=second)
    await said(voices, voice="nova")
    first.scripts = [[failure()]]
    await said(voices, voice="nova")
    assert (first.voices, second.voices) == (["nova", "", ""], ["nova"])
    assert (voices.preferred_voice("nova"), voices.preferred_voice("sage")) == ("", "sage")


@virtual
async def test_a_provider_that_refuses_its_usual_voice_too_has_failed() -> None:
    vendor, backup = Choosy("nova"), Scripted([[audio(1)]])
    voices = chain(a=vendor, b=backup)
    for _ in range(4):
        assert await said(voices, voice="nobody") == audio(1)
    assert vendor.voices == ["nobody", ""] * 3
    assert voices.links[0].breaker.state is BreakerState.OPEN
    assert voices.preferred_voice("nobody") == "nobody", "what was wrong may have been something else"


@pytest.mark.parametrize(
    "vendor", [Choosy("", late=True), Choosy("", retryable=True)], ids=["after audio", "retryable"]
)
def test_other_failures_of_a_named_voice_are_failures(vendor: Choosy) -> None:
    @virtual
    async def check() -> None:
        reports = Reports()
        await said(chain(a=vendor, b=Scripted([[audio(1)]])), reports=reports, voice="nova")
        assert vendor.voices == ["nova"]
        assert reports.told == [("a", "b", "protocol")]

    check()


@virtual
async def test_the_memory_of_refused_voices_is_bounded() -> None:
    vendor = Choosy("")
    voices = chain(a=vendor)
    for number in range(1025):
        await said(voices, voice=f"voice {number}")
    assert (voices.preferred_voice("voice 0"), voices.preferred_voice("voice 1")) == ("voice 0", "")
