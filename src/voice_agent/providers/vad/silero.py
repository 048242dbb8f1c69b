"""Silero voice activity detection (MIT), 16 kHz: 512 new samples a hop, the 64 before them as context.

The model is a small recurrent net: input (B, 576) in [-1, 1], state (2, B, 128), output probabilities (B, 1). One hop alone
takes about 0.13 ms, of which half is the call of the runtime; so the hops that several calls have ready at about the same
time are judged in one inference, on the event loop, at most ``BATCH_HOPS`` at once. What is too quiet to be speech never
gets there: see ``audio/energy_gate.py``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from voice_agent.audio.energy_gate import QUIET_DBFS, EnergyGate
from voice_agent.errors import BugError, ProviderError, ProviderFault
from voice_agent.providers import weights
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.sessions import open_session
from voice_agent.providers.vad.base import OnFailure, OnHop

SAMPLE_RATE_HZ: Final = 16_000
HOP_SAMPLES: Final = 512
_CONTEXT_SAMPLES: Final = 64
_STATE_SHAPE: Final = (2, 1, 128)
_HOP_BYTES: Final = HOP_SAMPLES * 2
_SCALE: Final = np.float32(1 / 32768)
_RATE: Final = np.array(SAMPLE_RATE_HZ, np.int64)

# One inference may hold up the event loop for about a millisecond.
BATCH_HOPS: Final = 12
# With this many calls or more, hops wait a little for others: it halves what each costs, and is short against a hop.
_GATHER_FROM_CALLS: Final = 12
_GATHER_S: Final = 0.006
# A call whose audio comes in a burst keeps at most this much waiting; beyond it the oldest is dropped.
_WAITING_HOPS: Final = 320

_log = structlog.get_logger(__name__)


def speech_probabilities(session: Any, pcm: bytes) -> list[float]:
    """The model's word on every whole hop of a recording (16-bit mono, 16 kHz), quiet ones too. ``session`` is the model's
    inference session."""
    audio = np.zeros((1, _CONTEXT_SAMPLES + HOP_SAMPLES), np.float32)
    state: Any = np.zeros(_STATE_SHAPE, np.float32)
    found: list[float] = []
    for at in range(0, len(pcm) - _HOP_BYTES + 1, _HOP_BYTES):
        audio[0, :_CONTEXT_SAMPLES] = audio[0, -_CONTEXT_SAMPLES:]
        np.multiply(np.frombuffer(pcm, "<i2", HOP_SAMPLES, at), _SCALE, out=audio[0, _CONTEXT_SAMPLES:])
        output, state = _infer(session, audio, state)
        found.append(float(output[0, 0]))
    return found


def _infer(session: Any, audio: NDArray[np.float32], state: NDArray[np.float32]) -> tuple[Any, Any]:
    try:
        output, state = session.run(None, {"input": audio, "state": state, "sr": _RATE})
    except Exception as failed:  # the runtime has no common base for its errors
        raise ProviderError(f"voice detection failed: {failed}", category=ProviderFault.INTERNAL) from failed
    return output, state


class SileroDetectorFactory:
    """A ``VoiceDetectorFactory``: one model for the process, a state for each call."""

    hop_samples = HOP_SAMPLES

    def __init__(self, pool: ModelPool, *, model_path: Path | None = None, quiet_dbfs: float = QUIET_DBFS) -> None:
        self._pool = pool
        self._path = model_path if model_path is not None else weights.silero_vad()
        self._quiet_dbfs = quiet_dbfs
        self._session: Any = None
        self._open = 0
        self._ready: deque[SileroDetector] = deque()
        self._scheduled = False

    async def warm_up(self) -> None:
        """Loads the model and runs it once. Raises ``ConfigError``."""
        await self._pool.run(self._load)

    def open(self, on_hop: OnHop, on_failure: OnFailure) -> SileroDetector:
        """One call's detector. Loads the model on the calling thread (30 ms) where ``warm_up`` has not."""
        if self._session is None:
            self._load()
        self._open += 1
        return SileroDetector(self, on_hop, on_failure, EnergyGate(self._quiet_dbfs))

    def _load(self) -> None:
        self._session = open_session(self._path)
        speech_probabilities(self._session, b"\x01\x01" * HOP_SAMPLES)

    # The detectors' side: gathering hops of several calls

    def has_hop(self, detector: SileroDetector) -> None:
        self._ready.append(detector)
        if not self._scheduled:
            self._schedule(_GATHER_S if self._open >= _GATHER_FROM_CALLS else 0.0)

    def _schedule(self, delay_s: float) -> None:
        self._scheduled = True
        loop = asyncio.get_running_loop()
        if delay_s:
            loop.call_later(delay_s, self._judge)
        else:
            loop.call_soon(self._judge)

    def _judge(self) -> None:
        """One inference over the oldest hop of each detector that has one; the rest follows after a turn of the loop."""
        self._scheduled = False
        batch = [self._ready.popleft() for _ in range(min(BATCH_HOPS, len(self._ready)))]
        batch = [detector for detector in batch if detector.is_open]
        if batch:
            audio = np.stack([detector.audio for detector in batch])
            state = np.concatenate([detector.state for detector in batch], axis=1)
            try:
                output, new_state = _infer(self._session, audio, state)
            except ProviderError as error:
                for detector in batch:
                    detector.failed(error)
            else:
                for row, (detector, probability) in enumerate(zip(batch, output[:, 0].tolist(), strict=True)):
                    _tell(detector, probability, new_state[:, row : row + 1])
        if self._ready and not self._scheduled:
            self._schedule(0.0)

    def closed(self) -> None:
        self._open -= 1


def _tell(detector: SileroDetector, probability: float, state: NDArray[np.float32]) -> None:
    """A call that fails on its hop must not leave the rest of the batch unheard."""
    try:
        detector.judged(probability, state)
    except Exception as error:
        _log.exception("a call failed on its audio")
        detector.failed(ProviderError(f"a hop could not be taken: {error}", category=ProviderFault.INTERNAL))


class SileroDetector:
    """A ``VoiceDetector``. ``audio`` is what the model sees next, shape (576,); ``state`` its memory, shape (2, 1, 128)."""

    hop_samples = HOP_SAMPLES

    def __init__(self, factory: SileroDetectorFactory, on_hop: OnHop, on_failure: OnFailure, gate: EnergyGate) -> None:
        self._factory = factory
        self._on_hop = on_hop
        self._on_failure = on_failure
        self._gate = gate
        self._waiting: deque[bytes] = deque(maxlen=_WAITING_HOPS)
        self._hop = b""
        self._power = 0.0
        self._judging = False
        self.is_open = True
        self.audio: NDArray[np.float32] = np.zeros(_CONTEXT_SAMPLES + HOP_SAMPLES, np.float32)
        self.state: NDArray[np.float32] = np.zeros(_STATE_SHAPE, np.float32)

    def push(self, hop: bytes) -> None:
        """Raises ``BugError`` on a hop of another size."""
        if len(hop) != _HOP_BYTES:
            raise BugError(f"a hop is {HOP_SAMPLES} samples ({_HOP_BYTES} bytes), not {len(hop)} bytes")
        if self._judging:
            self._waiting.append(hop)
        else:
            self._take(hop)

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._waiting.clear()
            self._factory.closed()

    def _take(self, hop: bytes) -> None:
        self._hop = hop
        audio = self.audio
        audio[:_CONTEXT_SAMPLES] = audio[-_CONTEXT_SAMPLES:]
        new = audio[_CONTEXT_SAMPLES:]
        np.multiply(np.frombuffer(hop, "<i2"), _SCALE, out=new)
        self._power = float(np.dot(new, new)) / HOP_SAMPLES
        if self._gate.is_quiet(self._power):
            self._on_hop(hop, 0.0)
        else:
            self._judging = True
            self._factory.has_hop(self)

    # The factory's side

    def judged(self, probability: float, state: NDArray[np.float32]) -> None:
        self.state = state
        self._gate.judged(self._power, probability)
        self._judging = False
        self._on_hop(self._hop, probability)
        while self._waiting and not self._judging and self.is_open:
            self._take(self._waiting.popleft())

    def failed(self, error: ProviderError) -> None:
        self.close()
        self._on_failure(error)
