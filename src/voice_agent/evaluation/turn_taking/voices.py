"""The callers' voices: synthesised on this machine and kept as WAV files in the system's temporary folder.

Three speakers out of one model: ``heart`` as it is; ``low``, slowed down by resampling after a faster reading (a darker,
larger speaker at the usual pace); ``high``, the reverse. The same text and voice give the same samples. Every recording
comes out at ``caller_line.NOMINAL_DBFS``.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from voice_agent.audio.frames import FULL_SCALE, pcm_of, samples_of
from voice_agent.errors import ConfigError
from voice_agent.evaluation.caller_audio import read_wav, whole_resampled, write_wav
from voice_agent.evaluation.caller_line import levelled
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.tts.local import LocalSynthesizer

VOICE_RATE_HZ = 16_000
VOICES = ("heart", "low", "high")
_PITCH = {"heart": 1.0, "low": 0.82, "high": 1.16}
_CACHE_VERSION = 1  # part of every file name: raise it when a voice changes


class CallerVoices:
    """Recordings of texts. ``prepare`` makes those that are missing; ``said`` gives them without waiting."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"voice-agent-callers-{os.getuid()}"
        self._recordings: dict[tuple[str, str], bytes] = {}

    async def prepare(self, wanted: Iterable[tuple[str, str]], on_made: Callable[[], None] = lambda: None) -> None:
        """Makes or reads the recordings of all (text, voice). Raises ``ConfigError`` where the voice is not installed."""
        missing: list[tuple[str, str]] = []
        for text, voice in dict.fromkeys(wanted):
            path = self._path(text, voice)
            if path.is_file():
                self._recordings[text, voice] = read_wav(path, VOICE_RATE_HZ)
                on_made()
            else:
                missing.append((text, voice))
        if missing:
            await self._make(missing, on_made)

    def said(self, text: str, voice: str) -> bytes:
        """A prepared recording: mono PCM at ``VOICE_RATE_HZ``."""
        return self._recordings[text, voice]

    async def _make(self, missing: list[tuple[str, str]], on_made: Callable[[], None]) -> None:
        pool = ModelPool(workers=1)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for text, voice in missing:
                speaker = LocalSynthesizer(pool, speed=1 / _PITCH[voice])
                pcm = b"".join([chunk async for chunk in speaker.synthesize(text, locale="en-US")])
                if not pcm:
                    raise ConfigError(f"the voice {voice!r} says nothing for {text!r}")
                samples = samples_of(pcm).astype(np.float64) / FULL_SCALE
                pitched_hz = round(speaker.sample_rate_hz * _PITCH[voice])
                pcm = levelled(pcm_of(whole_resampled(samples, pitched_hz, VOICE_RATE_HZ)), VOICE_RATE_HZ)
                path = self._path(text, voice)
                partial = path.with_suffix(f".{os.getpid()}")
                write_wav(partial, pcm, VOICE_RATE_HZ)
                partial.replace(path)  # whole or not at all, as two benches may share the folder
                self._recordings[text, voice] = pcm
                on_made()
        finally:
            await pool.close()

    def _path(self, text: str, voice: str) -> Path:
        key = hashlib.sha256(f"{_CACHE_VERSION}|{voice}|{text}".encode()).hexdigest()[:24]
        return self._folder / f"{voice}-{key}.wav"
