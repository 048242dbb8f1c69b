"""Speech synthesis by Deepgram (Aura), over its streaming WebSocket: sound comes while the sentence is still being made.

Settings, cost, limits: docs/providers/deepgram.md.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final

from voice_agent.config import DeepgramSettings
from voice_agent.conversation.spoken_forms.speakable import speakable
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.deepgram.connection import Dialer, Params
from voice_agent.providers.deepgram.speak_lines import SpeakLines
from voice_agent.providers.deepgram.voices import voice_model
from voice_agent.providers.registry import ProviderContext

SAMPLE_RATE_HZ: Final = 24_000
_TEXT_MAX: Final = 2000  # characters of one Speak message
_SPEEDS: Final = (0.7, 1.5)


class DeepgramSynthesizer:
    """A ``SpeechSynthesizer``. ``model`` and ``voice`` as in ``voices.voice_model``; ``speed`` is brought to 0.7 to 1.5.

    ``locale`` is the one that ``warm`` opens a connection for.
    """

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(
        self,
        settings: DeepgramSettings,
        *,
        model: str = "",
        voice: str = "",
        speed: float = 1.0,
        connect_s: float = 0.5,
        locale: str = "en-US",
    ) -> None:
        self._settings = settings
        self._model = model
        self._voice = voice
        self._speed = min(max(speed, _SPEEDS[0]), _SPEEDS[1])
        self._locale = locale
        self._dialer = Dialer(settings)
        self._lines = SpeakLines(self._dialer, connect_s)

    async def warm_up(self) -> None:
        """Reads certificates. Whether the vendor can be reached is seen by ``warm``, and is no reason not to start."""
        self._dialer.prepare()

    async def warm(self) -> None:
        """Opens a connection ahead of the first sentence. Raises ``ProviderError``."""
        await self._lines.warm(self._params(self._locale, ""))

    async def aclose(self) -> None:
        """Closes the connections that are kept between sentences."""
        await self._lines.aclose()

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        """Yields the vendor's audio as it comes. Closing or cancelling closes the connection at once.

        Raises ``ProviderError``: ``EMPTY`` when speakable text gives no audio. A kept connection that turns out to be dead
        before any audio came is replaced once.
        """
        params = self._params(locale, voice)
        for piece in _pieces(speakable(text, locale=locale)):
            async with aclosing(self._spoken(piece, params)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _spoken(self, text: str, params: Params) -> AsyncGenerator[bytes, None]:
        fresh = False
        while True:
            line = await self._lines.take(params, fresh=fresh)
            heard = finished = failed = False
            try:
                await line.say(text)
                while (pcm := await line.audio()) is not None:
                    heard = True
                    yield pcm
                finished = True
            except ProviderError:
                failed = True
                if heard or fresh or not line.used:
                    raise
                fresh = True
            finally:
                if finished:
                    self._lines.give_back(line)
                else:
                    self._lines.drop(line, replace=not failed)
            if heard:
                return
            if finished:
                raise ProviderError(
                    f"Deepgram gave no audio for a text of {len(text)} characters", category=ProviderFault.EMPTY
                )

    def _params(self, locale: str, voice: str) -> Params:
        return (
            ("model", voice_model(locale, voice, self._model, self._voice)),
            ("encoding", "linear16"),
            ("sample_rate", str(SAMPLE_RATE_HZ)),
            *((("speed", f"{self._speed:g}"),) if self._speed != 1.0 else ()),
            *((("mip_opt_out", "true"),) if self._settings.mip_opt_out else ()),
        )


def _pieces(text: str) -> Iterator[str]:
    """The text, cut where a sentence, else a word, ends so that no piece is longer than a message may be."""
    while len(text) > _TEXT_MAX:
        cut = max(text.rfind(mark, 0, _TEXT_MAX) for mark in (". ", "? ", "! ")) + 1
        cut = cut or text.rfind(" ", 0, _TEXT_MAX) or _TEXT_MAX
        cut = cut if cut > 0 else _TEXT_MAX
        yield text[:cut].strip()
        text = text[cut:].strip()
    if text:
        yield text


def provider(context: ProviderContext) -> DeepgramSynthesizer:
    """Registration: ``TTS_PROVIDER=deepgram``. Its connection is opened at the start and at each call's begin."""
    synthesizer = DeepgramSynthesizer(
        context.deepgram,
        model=context.tts.model,
        voice=context.tts.voice,
        speed=context.tts.speed,
        connect_s=context.tts.connect_ms / 1000,
        locale=context.asr.language,
    )
    context.warmth.register("deepgram synthesis", synthesizer.warm)
    context.web.on_close(synthesizer.aclose)
    return synthesizer
