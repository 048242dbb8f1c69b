"""What a speech endpoint sends, as PCM at the rate that was asked for: raw samples, or those inside a WAV container.

A WAV header tells a rate, and raw PCM at another rate than it says would only be noise at the wrong pitch, so that rates are
converted where that is exact, and refused otherwise. Sizes in a streamed header are not to be trusted (0, or all bits set).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from voice_agent.audio.resample import Resampler

_RAW: Final = frozenset(
    {"", "audio/pcm", "audio/l16", "audio/raw", "audio/x-raw", "application/octet-stream", "binary/octet-stream"}
)
_WAV: Final = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"})
_OTHERS_BEGIN: Final = (b"ID3", b"OggS", b"fLaC", b"\xff\xfb", b"\xff\xf3", b"\xff\xf1", b"\x1aE\xdf\xa3")
_SNIFF_BYTES: Final = 4
_HEADER_MAX_BYTES: Final = 2**16
_PCM, _EXTENSIBLE = 1, 0xFFFE
_UNKNOWN_SIZES: Final = (0, 0xFFFFFFFF, 0x7FFFFFFF)


class PcmStream:
    """One answer. Raises ``ValueError``, which says what the server sends instead of mono 16-bit PCM."""

    def __init__(self, content_type: str, rate_hz: int) -> None:
        if content_type not in _RAW | _WAV:
            raise ValueError(f"{content_type} instead of PCM")
        self._raw = content_type in _RAW
        self._rate_hz = rate_hz
        self._head = b""
        self._in_audio = False
        self._left_bytes: int | None = None  # of a WAV's audio, where its header tells
        self._resampler: Resampler | None = None
        self._odd = b""

    def feed(self, piece: bytes) -> bytes:
        """Whole samples; empty while a header is incomplete."""
        if not self._in_audio:
            self._head += piece
            if len(self._head) < _SNIFF_BYTES:
                return b""
            found = self._audio_after_head()
            if found is None:
                return b""
            piece, self._head, self._in_audio = found, b"", True
        if self._left_bytes is not None:
            piece = piece[: self._left_bytes]
            self._left_bytes -= len(piece)
        if self._odd or len(piece) % 2:
            piece = self._odd + piece
            self._odd = piece[len(piece) & ~1 :]
            piece = piece[: len(piece) & ~1]
        return self._resampler.process(piece) if self._resampler and piece else piece

    def flush(self) -> bytes:
        """The end of the body. Half a sample is dropped."""
        if not self._in_audio:
            short, self._head = self._head, b""
            if short.startswith(b"RIFF"):
                raise ValueError("a WAV header and no audio")
            return short[: len(short) & ~1] if self._raw else b""
        return self._resampler.flush() if self._resampler else b""

    def _audio_after_head(self) -> bytes | None:
        """The audio in what came so far, its header taken off; ``None``: there is more header to come."""
        head = self._head
        if head.startswith(b"RIFF"):
            return self._after_wav_header(head)
        if not self._raw:
            raise ValueError("something that is no WAV")
        if head.startswith(_OTHERS_BEGIN):
            raise ValueError("compressed audio instead of PCM")
        return head

    def _after_wav_header(self, head: bytes) -> bytes | None:
        at = 12  # after RIFF, its size, WAVE
        known = False
        while len(head) >= at + 8:
            name, size = struct.unpack_from("<4sI", head, at)
            at += 8
            if name == b"data":
                if not known:
                    raise ValueError("a WAV without a format")
                self._left_bytes = None if size in _UNKNOWN_SIZES else size
                return head[at:]
            if name == b"fmt ":
                if size < 16:
                    raise ValueError("a WAV with a broken format")
                if len(head) < at + 16:
                    break
                self._take_format(*struct.unpack_from("<HHIIHH", head, at))
                known = True
            at += size + size % 2
        if len(head) > _HEADER_MAX_BYTES or at > _HEADER_MAX_BYTES:
            raise ValueError("a WAV header without end")
        return None

    def _take_format(self, code: int, channels: int, rate_hz: int, _rate: int, _align: int, bits: int) -> None:
        if code not in (_PCM, _EXTENSIBLE) or channels != 1 or bits != 16:
            raise ValueError(f"a WAV of {channels} channels, {bits} bits, format {code} instead of mono 16-bit PCM")
        if rate_hz != self._rate_hz:
            from voice_agent.audio.resample import RATES_HZ, Resampler

            if rate_hz not in RATES_HZ:
                raise ValueError(f"audio at {rate_hz} Hz instead of {self._rate_hz} Hz")
            self._resampler = Resampler(rate_hz, self._rate_hz)
