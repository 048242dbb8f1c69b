"""The fallback chain of synthesisers; ``relay.py`` has the rules.

Whoever takes over in the middle of a sentence says the rest of it, from the beginning of the word under way. Which word that
is follows from the audio given so far, by the estimate that also tells how much a caller has heard
(``conversation/heard_ledger.py``): a word may be said twice or, rarely, be missed.

A synthesiser that refuses a voice says the text in its usual one, and is not asked for that voice again: voices are named by
agents, links are shared by all of them, and a name that one agent has wrong must not open the breaker of the others.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final, cast

import structlog

from voice_agent.audio.resample import Resampler
from voice_agent.clock import Clock
from voice_agent.conversation.heard_ledger import Segment
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.chain.base import Link, Report, StageDeadlines, only_link
from voice_agent.providers.chain.relay import Relay, Restart
from voice_agent.providers.tts.base import SpeechSynthesizer

SAMPLE_RATE_HZ: Final = 24_000
_BYTES_PER_S: Final = SAMPLE_RATE_HZ * 2
_DEADLINES = StageDeadlines(first_s=2.0, gap_s=2.0)
# Less than this is no more than the beginning of a word: all of the text is said again.
_NOTHING_SAID_S: Final = 0.3
# More names than agents have in their files; the one refused longest ago is asked for again.
_REFUSED_MOST: Final = 1024

log = structlog.get_logger(__name__)


def _nobody_asks(name: str) -> None:
    """For those who do not care whose voice it is."""


class SynthesizerChain:
    """Asked like one synthesiser; its audio is 16-bit mono PCM at 24 kHz whoever speaks. Shared by the process."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(
        self,
        links: Sequence[Link[SpeechSynthesizer]],
        deadlines: StageDeadlines,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.links = tuple(links)
        self._refused: dict[tuple[str, str], None] = {}  # (link, voice), for the life of the process
        self._relay: Relay[SpeechSynthesizer, bytes] = Relay(
            "synthesis", links, deadlines, clock, jitter=jitter, worth_s=_worth_s
        )

    @classmethod
    def of(
        cls, synthesizer: SpeechSynthesizer, clock: Clock, deadlines: StageDeadlines = _DEADLINES
    ) -> SynthesizerChain:
        """A chain of one."""
        return cls([only_link(synthesizer, clock)], deadlines, clock)

    async def warm_up(self) -> None:
        """Warms every synthesiser. Raises ``ConfigError``, and ``ProviderError`` where none works."""
        await self._relay.warm_up()

    @property
    def preferred_admitted(self) -> bool:
        """Whether the first link would be asked now."""
        return self.links[0].breaker.would_admit

    def preferred_voice(self, voice: str) -> str:
        """The voice in which the first link says what is asked for in ``voice``: that one, or empty where it was refused."""
        return "" if (self.links[0].name, voice) in self._refused else voice

    async def synthesize(
        self, text: str, *, locale: str, report: Report, voice: str = "", serves: Callable[[str], None] = _nobody_asks
    ) -> AsyncGenerator[bytes, None]:
        """The audio of ``text``, in non-empty chunks of whole samples; nothing for text without letters and digits.
        ``serves`` is told the name of each provider whose audio it is. Closing the iterator stops the synthesis. Raises
        ``ProviderError`` when nothing works."""
        if not any(map(str.isalnum, text)):
            return
        told = _Told(text)
        chunks = self._relay.serve(
            lambda link: self._speech(link, told.rest(), locale, voice),
            report,
            lambda error: _counts(error, text),
            serves,
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                if isinstance(chunk, Restart):
                    told.restart()
                else:
                    told.given_bytes += len(chunk)
                    yield chunk

    async def _speech(
        self, link: Link[SpeechSynthesizer], text: str, locale: str, voice: str
    ) -> AsyncGenerator[bytes, None]:
        """One synthesiser's audio, at 24 kHz. None at all is an error."""
        resampler = Resampler(link.provider.sample_rate_hz, SAMPLE_RATE_HZ)
        spoke = False
        async with aclosing(self._in_voice(link, text, locale, voice)) as stream:
            async for chunk in stream:
                pcm = resampler.process(chunk)
                if pcm:
                    spoke = True
                    yield pcm
        tail = resampler.flush()
        if tail and spoke:
            yield tail
        if not spoke and any(map(str.isalnum, text)):
            raise ProviderError(f"{link.name} gave no audio for text in {locale}", category=ProviderFault.EMPTY)

    async def _in_voice(
        self, link: Link[SpeechSynthesizer], text: str, locale: str, voice: str
    ) -> AsyncGenerator[bytes, None]:
        """The synthesiser's own audio in ``voice``, or in its usual one where it refuses that."""
        refusal: ProviderError | None = None
        if voice and (link.name, voice) not in self._refused:
            begun = False
            try:
                async with aclosing(_asked(link, text, locale, voice)) as stream:
                    async for chunk in stream:
                        begun = True
                        yield chunk
            except ProviderError as error:
                if begun or error.retryable or error.category is not ProviderFault.PROTOCOL:
                    raise
                refusal = error
            else:
                return
        async with aclosing(_asked(link, text, locale, "")) as stream:
            async for chunk in stream:
                if refusal is not None:  # only now it is the voice that was refused, and not all requests
                    self._note_refused(link.name, voice, refusal)
                    refusal = None
                yield chunk

    def _note_refused(self, link: str, voice: str, refusal: ProviderError) -> None:
        if (link, voice) in self._refused:
            return  # by another call at the same time
        if len(self._refused) >= _REFUSED_MOST:
            del self._refused[next(iter(self._refused))]
        self._refused[link, voice] = None
        log.warning(
            "a provider does not know a voice, its usual one speaks", provider=link, voice=voice, error=str(refusal)
        )


def _asked(link: Link[SpeechSynthesizer], text: str, locale: str, voice: str) -> AsyncGenerator[bytes, None]:
    """The provider's stream. The protocol says iterator; what async generators add is closing them in time."""
    return cast(AsyncGenerator[bytes, None], link.provider.synthesize(text, locale=locale, voice=voice))


def rest_of(text: str, given_s: float) -> str:
    """What is left to say of ``text`` after so many seconds of its audio: from the word under way on, never nothing."""
    if given_s < _NOTHING_SAID_S:
        return text
    words = text.split()
    said = sum(end_s <= given_s for end_s in Segment(text).word_ends_s())
    return " ".join(words[min(said, len(words) - 1) :])


class _Told:
    """How much of a text has been said: ``text`` is what the one that speaks was given, ``given_bytes`` its audio so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.given_bytes = 0

    def rest(self) -> str:
        """What the next one has to say."""
        return rest_of(self.text, self.given_bytes / _BYTES_PER_S)

    def restart(self) -> None:
        """Another one speaks now, and was given ``rest``."""
        self.text, self.given_bytes = self.rest(), 0


def _counts(error: ProviderError, text: str) -> bool:
    """No audio for another script than Latin usually says that the voice lacks the language, which is no defect of the
    provider: calls in other languages must keep it."""
    return error.category is not ProviderFault.EMPTY or any(letter.isascii() and letter.isalnum() for letter in text)


def _worth_s(chunk: bytes) -> float:
    return len(chunk) / _BYTES_PER_S
