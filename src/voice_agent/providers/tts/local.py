"""Speech synthesis on this machine: hibari (Apache-2.0, 7.9 MB, its voice "heart" inside the package), 24 kHz.

Theory of operation. Text is made speakable, turned into phonemes by sentence, and a long sentence is cut at its commas
into pieces, the first one short: a piece's cost grows with its length (about 0.5 ms per phoneme on one core), and the
first piece is what the caller waits for. Each piece is one job in the model pool; its leading and trailing silence
(about 0.3 and 0.45 s) is trimmed to what the mark at its end deserves.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import structlog

from voice_agent.audio.frames import pcm_of
from voice_agent.audio.silence import SilenceTrimmer
from voice_agent.conversation.spoken_forms.speakable import speakable
from voice_agent.errors import ConfigError, ProviderError, ProviderFault
from voice_agent.providers.registry import ProviderContext

DEFAULT_VOICE: Final = "heart"
SAMPLE_RATE_HZ: Final = 24_000

_LONG_PHONEMES: Final = 90  # below it a sentence is ready within about 45 ms: cutting would only cost melody
_FIRST_PHONEMES: Final = 20  # a first piece shorter than this is spoken before the second is ready
_PIECE_PHONEMES: Final = 160  # later pieces: long enough for melody, short enough to be cancelled soon
_PAUSE_S: Final = {",": 0.12, ";": 0.18, ":": 0.18, "—": 0.18}
_SENTENCE_PAUSE_S: Final = 0.24
_NOISE_SEED: Final = 7  # the voice's breath is noise: a fixed seed makes the same text the same audio

_log = structlog.get_logger(__name__)


class Workers(Protocol):
    """The part of the model pool that synthesis needs."""

    async def run(self, fn: Callable[..., Any], *args: Any) -> Any: ...

    def stream(self, generate: Callable[..., Iterator[bytes]], *args: Any) -> Any: ...


class LocalSynthesizer:
    """A ``SpeechSynthesizer``. English only: other scripts yield nothing. Loaded by ``warm_up`` or the first text.

    ``voice`` names one of hibari's voices whose file is on this machine (nothing is downloaded); any other name, as
    that of a hosted vendor's voice, gives ``DEFAULT_VOICE``, said once in the log. Each voice is a model of its own, loaded
    when it is first heard; texts in other voices do not wait for that. ``speed`` 1.0 is the usual pace.
    """

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, pool: Workers, *, voice: str = DEFAULT_VOICE, speed: float = 1.0) -> None:
        self._pool = pool
        self._voice = voice
        self._speed = speed
        self._models: dict[str, Any] = {}
        self._loading: dict[str, threading.Lock] = {}  # by voice

    async def warm_up(self) -> None:
        """Loads the model and its word lists and runs it once. Raises ``ConfigError``."""
        await self._pool.run(self._warm)

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        """Yields one chunk per piece. Cancelling or closing stops the work after the piece being made."""
        wanted = voice or self._voice
        if wanted not in self._models:
            # Outside of the pool: those who wait for a load would take its threads from others.
            await asyncio.to_thread(self._loaded, wanted)
        async with aclosing(self._pool.stream(self._speak, text, locale, wanted)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _warm(self) -> None:
        for _ in self._speak("Warm up, please.", "en-US", self._voice):
            pass

    def _speak(self, text: str, locale: str, voice: str) -> Iterator[bytes]:
        """Runs in the pool's threads; the model is safe to share between them."""
        model = self._loaded(voice)
        try:
            sentences = model.phonemize(speakable(text, locale=locale))
            for phonemes in sentences:
                for piece in _pieces(phonemes):
                    if pcm := self._say(model, piece):
                        yield pcm
        except ProviderError:
            raise
        except Exception as failed:  # the runtime has no common base for its errors
            raise ProviderError(f"speech synthesis failed: {failed}", category=ProviderFault.INTERNAL) from failed

    def _say(self, model: Any, phonemes: str) -> bytes:
        ids = model.ids(phonemes)
        samples = model.from_ids(ids, self._speed, np.random.default_rng(_NOISE_SEED))
        trimmer = SilenceTrimmer(SAMPLE_RATE_HZ, trailing_s=_PAUSE_S.get(phonemes[-1], _SENTENCE_PAUSE_S))
        return trimmer.process(pcm_of(np.asarray(samples, dtype=np.float32))) + trimmer.flush()

    def _loaded(self, voice: str) -> Any:
        """The voice's model. A lock for each voice makes one load of it; who finds it loaded takes none."""
        model = self._models.get(voice)
        if model is None:
            with self._loading.setdefault(voice, threading.Lock()):
                model = self._models.get(voice)
                if model is None:
                    here = _installed(voice)
                    model = self._models[voice] = _load(voice) if here == voice else self._loaded(here)
        return model


def _installed(voice: str) -> str:
    """The voice if its file is on this machine, else ``DEFAULT_VOICE``."""
    _, voices, voice_path = _hibari()
    if voice in voices and _is_here(voice_path, voice):
        return voice
    _log.info("this voice is not installed, the default is used", voice=voice, default=DEFAULT_VOICE)
    return DEFAULT_VOICE


def _load(voice: str) -> Any:
    """Opens the voice's model with one thread (the pool is what runs in parallel), and the word lists."""
    hibari, _, _ = _hibari()
    model = hibari(voice=voice, threads=1)
    model.g2p  # noqa: B018 - reading the property loads the word lists (0.3 s)
    return model


def _hibari() -> tuple[Any, Any, Any]:
    """The library, imported when it is first needed. Raises ``ConfigError``."""
    try:
        from hibari import Hibari
        from hibari.voices import VOICES, voice_path
    except ImportError as missing:
        raise ConfigError(
            "TTS_PROVIDER=local needs hibari: install it with `uv sync --extra local` (`pip install voice-agent[local]`)."
        ) from missing
    return Hibari, VOICES, voice_path


def _is_here(voice_path: Callable[..., str], voice: str) -> bool:
    try:
        return Path(voice_path(voice, download_missing=False)).is_file()
    except FileNotFoundError:
        return False


def _pieces(phonemes: str) -> list[str]:
    """Cuts a long sentence's phonemes after marks of pause: the first piece short, the others not too long."""
    if len(phonemes) <= _LONG_PHONEMES:
        return [phonemes]
    pieces: list[str] = []
    current = ""
    for clause in _clauses(phonemes):
        room = _FIRST_PHONEMES if not pieces else _PIECE_PHONEMES
        if current and len(current) + (0 if not pieces else len(clause)) >= room:
            pieces.append(current)
            current = clause
        else:
            current = f"{current} {clause}" if current else clause
    return [*pieces, current]


def _clauses(phonemes: str) -> Iterator[str]:
    current: list[str] = []
    for word in phonemes.split(" "):
        current.append(word)
        if word and word[-1] in _PAUSE_S:
            yield " ".join(current)
            current = []
    if current:
        yield " ".join(current)


def provider(context: ProviderContext) -> LocalSynthesizer:
    """Registration: ``TTS_PROVIDER=local``."""
    return LocalSynthesizer(context.pool, voice=context.tts.voice, speed=context.tts.speed)
