"""Trims the silence around synthesised speech while it streams.

Synthesisers put a few hundred milliseconds of silence before and after what they say; the first delays the answer, the
second delays everything after it. Pauses inside the speech stay as they are.

Theory of operation. Audio is judged in hops of 5 ms by their level. Before the first loud hop everything but the last
``leading_s`` is dropped. From then on audio passes at once, except that of a silence only the first ``trailing_s``
passes; the rest is held until speech resumes (then it is let go: it was a pause) or the stream ends (then it is
dropped). So speech is never withheld for more than one hop, and the output does not depend on the chunking.
"""

from __future__ import annotations

import numpy as np

from voice_agent.audio.frames import BYTES_PER_SAMPLE, FULL_SCALE, FrameAssembler, bytes_for

_HOP_S = 0.005


class SilenceTrimmer:
    """Trims one utterance: ``process`` its chunks, then ``flush``. 16-bit mono PCM; the next utterance may follow.

    ``threshold_dbfs`` is the RMS level of a 5 ms hop that counts as sound: the soft onset of an "f" or "th" of
    normal synthesised speech is above -50 dBFS within the 20 ms kept before it.
    """

    def __init__(
        self, rate_hz: int, *, leading_s: float = 0.02, trailing_s: float = 0.2, threshold_dbfs: float = -50.0
    ) -> None:
        hop_bytes = max(BYTES_PER_SAMPLE, bytes_for(_HOP_S, rate_hz))
        self._hops = FrameAssembler(hop_bytes)
        self._leading_bytes = bytes_for(leading_s, rate_hz)
        self._trailing_bytes = bytes_for(trailing_s, rate_hz)
        self._threshold = (10.0 ** (threshold_dbfs / 20.0) * FULL_SCALE) ** 2  # mean square, in samples' own units
        self._started = False
        self._quiet_bytes = 0  # silence passed on since the last loud hop
        self._held = bytearray()

    def process(self, pcm: bytes) -> bytes:
        """What of the audio so far may be heard."""
        out = bytearray()
        for hop in self._hops.push(pcm):
            self._take(hop, out)
        return bytes(out)

    def flush(self) -> bytes:
        """The end of the utterance: its last part-hop, without the silence still held."""
        out = bytearray()
        rest_bytes = self._hops.pending_bytes & ~1
        if rest_bytes:
            self._take(self._hops.flush()[:rest_bytes], out)
        self._hops.clear()
        self._held.clear()
        self._started = False
        self._quiet_bytes = 0
        return bytes(out)

    def _take(self, hop: bytes, out: bytearray) -> None:
        samples = np.frombuffer(hop, dtype="<i2").astype(np.float64)
        loud = float(samples @ samples) >= self._threshold * samples.size
        if loud:
            out += self._held
            out += hop
            self._held.clear()
            self._started = True
            self._quiet_bytes = 0
        elif not self._started:
            self._held += hop
            if len(self._held) > self._leading_bytes:
                del self._held[: len(self._held) - self._leading_bytes]
        else:
            room = max(0, self._trailing_bytes - self._quiet_bytes)
            out += hop[:room]
            self._held += hop[room:]
            self._quiet_bytes += len(hop[:room])
