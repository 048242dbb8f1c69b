"""Moonshine (MIT, Useful Sensors): a small English encoder-decoder recogniser, run through ONNX Runtime.

Input is raw 16 kHz audio in [-1, 1], any length from about 65 ms; the encoder's cost grows with it, so audio is cut
into pieces of at most ``PIECE_S`` at its quietest places. Decoding is greedy with cached keys and values. The decoder's
``encoder_attention_mask`` is the mask of the raw samples, not of the encoder's frames.

The model always says something. What it says about silence, noise and music is known ("You", "Thank you for watching",
note signs, endless repetition) and is taken out here; the rest is up to the voice detection in front of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voice_agent.errors import ConfigError, ProviderError, ProviderFault
from voice_agent.providers.sessions import open_session
from voice_agent.providers.weights import MoonshineFiles

SAMPLE_RATE_HZ: Final = 16_000
PIECE_S: Final = 12.0
# A piece is not cut before this: short pieces lose context, and with it accuracy.
_PIECE_MIN_S: Final = 6.0
_QUIET_S: Final = 0.16
# Zeros added behind each piece: with them the word error rate on human prompts is 4.1 %, without 5.1 %. In front they hurt.
_TAIL_SAMPLES: Final = SAMPLE_RATE_HZ // 5
# Below this nothing can be a word, and below 65 ms the encoder's convolutions have no output.
_SHORTEST_S: Final = 0.1
# The loudest 10 ms of anything audible: -70 dBFS. Recognition itself does not depend on the level.
_AUDIBLE_RMS: Final = 10 / 32768

_BOS: Final = 1
_EOS: Final = 2
# The authors' limit is 6.5 tokens a second of audio; fast spelled digits with commas come close to it.
_TOKENS_PER_S: Final = 8.0
_TOKENS_EXTRA: Final = 4
# (longest repeated group, times it may follow itself): a caller may say "zero" nine times, no sentence four times.
_REPEATS: Final = ((1, 10), (2, 6), (12, 4))

# The mean token probability of human speech is 0.55 to 0.98, at 5 dB of white noise above 0.3.
_CONFIDENCE_MIN: Final = 0.3
_CONFIDENCE_MIN_SHORT: Final = 0.45
_SHORT_TOKENS: Final = 2
# What the model says about silence and music, with the confidence from which it is believed all the same.
_HALLUCINATIONS: Final[Mapping[str, float]] = {
    "you": math.inf,
    "thank you for watching": math.inf,
    "thanks for watching": math.inf,
    "thank you": 0.75,
    "so": 0.6,
    "the": 0.6,
}

Samples = NDArray[np.float32]


class Stop:
    """Asks a running transcription to give up; it looks before each piece and each token (every 3 ms or so)."""

    __slots__ = ("requested",)

    def __init__(self) -> None:
        self.requested = False


class Stopped(Exception):  # noqa: N818 -- a request that was obeyed, not an error
    """Raised by ``transcribe`` after ``Stop.requested`` was set."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What one piece of ``samples`` says. ``tokens`` may be given back as the draft of a longer take of that piece."""

    text: str
    confidence: float
    tokens: tuple[int, ...]
    samples: int


def pieces(samples: Samples) -> Iterator[Samples]:
    """Cuts audio longer than ``PIECE_S`` where it is quietest. Where a cut lies depends on the audio before it only."""
    longest, shortest = int(PIECE_S * SAMPLE_RATE_HZ), int(_PIECE_MIN_S * SAMPLE_RATE_HZ)
    while samples.size > longest:
        cut = shortest + quietest(samples[shortest:longest])
        yield samples[:cut]
        samples = samples[cut:]
    yield samples


def quietest(samples: Samples) -> int:
    """The middle of the quietest ``_QUIET_S``."""
    width = int(_QUIET_S * SAMPLE_RATE_HZ)
    energy = np.concatenate(([0.0], np.cumsum(samples.astype(np.float64) ** 2)))
    return int(np.argmin(energy[width:] - energy[:-width])) + width // 2


class Moonshine:
    """The loaded model; blocking, thread-safe. Raises ``ConfigError`` where the files are not such a model."""

    def __init__(self, files: MoonshineFiles) -> None:
        self._vocabulary = read_vocabulary(files.tokenizer)
        self._encoder = open_session(files.encoder)
        self._decoder = open_session(files.decoder)
        self._empty_cache = {
            node.name: np.zeros((1, node.shape[1], 0, node.shape[3]), np.float32)
            for node in self._decoder.get_inputs()
            if node.name.startswith("past_key_values.")
        }
        self._outputs = [node.name for node in self._decoder.get_outputs()]
        # After the first step the cross-attention cache does not change: asking for it again would copy it each time.
        self._later_outputs = [name for name in self._outputs if ".encoder." not in name]
        if not self._empty_cache or self._decoder.get_outputs()[0].shape[-1] != len(self._vocabulary):
            raise ConfigError(
                f"{files.decoder} and {files.tokenizer} are not a merged Moonshine decoder and its tokens"
            )

    def transcribe(self, pcm: bytes, draft: Sequence[int], stop: Stop) -> list[Hypothesis]:
        """One hypothesis for each piece of the 16-bit audio, in order; always at least one.

        ``draft`` holds the tokens of an earlier, shorter take, and counts while the audio is one piece: as far as the
        model agrees, they are checked all at once instead of one by one, which halves the decoder's time. Near ties may
        fall differently, so leave it empty where the result must depend on the audio alone.

        Raises ``Stopped`` and ``ProviderError``.
        """
        samples = np.frombuffer(pcm[: len(pcm) - len(pcm) % 2], "<i2").astype(np.float32) / 32768.0
        parts = list(pieces(samples))
        try:
            return [self._piece(part, draft if len(parts) == 1 else (), stop) for part in parts]
        except Stopped:
            raise
        except Exception as failed:  # the runtime has no common base for its errors
            raise ProviderError(f"local recognition failed: {failed}", category=ProviderFault.INTERNAL) from failed

    def _piece(self, samples: Samples, draft: Sequence[int], stop: Stop) -> Hypothesis:
        if stop.requested:
            raise Stopped
        if samples.size < _SHORTEST_S * SAMPLE_RATE_HZ or not _audible(samples):
            return Hypothesis("", 0.0, (), samples.size)
        limit = math.ceil(samples.size / SAMPLE_RATE_HZ * _TOKENS_PER_S) + _TOKENS_EXTRA
        tokens, chances = self._decode(samples, list(draft[:limit]), limit, stop)
        confidence = math.exp(sum(chances) / len(chances))
        group = looping(tokens)
        if group:
            tokens, confidence = unlooped(tokens, group), confidence / 2
        text = believed(self._text(tokens), confidence, len(tokens))
        return Hypothesis(text, min(1.0, confidence) if text else 0.0, tuple(tokens), samples.size)

    def _decode(self, samples: Samples, draft: list[int], limit: int, stop: Stop) -> tuple[list[int], list[float]]:
        """Greedy tokens without the end sign, and the log probability of each step."""
        audio = np.concatenate((samples, np.zeros(_TAIL_SAMPLES, np.float32)))[None]
        mask = np.ones(audio.shape, np.int64)
        frames = self._encoder.run(None, {"input_values": audio, "attention_mask": mask})[0]
        feeds: dict[str, Any] = {
            **self._empty_cache,
            "encoder_attention_mask": mask,
            "encoder_hidden_states": frames,
            "input_ids": np.array([[_BOS, *draft]], np.int64),
            "use_cache_branch": np.array([False]),
        }
        names = self._outputs
        outputs = self._decoder.run(names, feeds)
        chosen = outputs[0][0].argmax(axis=-1)
        kept = 0
        while kept < len(draft) and chosen[kept] == draft[kept]:
            kept += 1
        tokens = draft[:kept]
        chances = [_log_probability(row) for row in outputs[0][0, : kept + 1]]
        token = int(chosen[kept])
        self._remember(feeds, names, outputs, length=kept + 1)
        feeds["use_cache_branch"] = np.array([True])
        names = self._later_outputs
        while token != _EOS:
            tokens.append(token)
            if len(tokens) >= limit or looping(tokens):
                break
            if stop.requested:
                raise Stopped
            feeds["input_ids"] = np.array([[token]], np.int64)
            outputs = self._decoder.run(names, feeds)
            row = outputs[0][0, -1]
            token = int(row.argmax())
            chances.append(_log_probability(row))
            self._remember(feeds, names, outputs)
        return tokens, chances

    def _remember(
        self, feeds: dict[str, Any], names: Sequence[str], outputs: Sequence[Any], length: int | None = None
    ) -> None:
        """Feeds the caches back; ``length`` cuts off what a rejected draft left in them."""
        for name, value in zip(names[1:], outputs[1:], strict=True):
            kept = value[:, :, :length] if ".decoder." in name else value
            feeds[name.replace("present", "past_key_values", 1)] = kept

    def _text(self, tokens: Sequence[int]) -> str:
        spelled = b"".join(self._vocabulary[token] for token in tokens)
        return " ".join(spelled.decode("utf-8", "ignore").replace("\u2581", " ").split())


def read_vocabulary(path: Path) -> list[bytes]:
    """The bytes of each token, by id; control tokens are empty.

    Format: for each id its length (seven low bits, and where the eighth is set, a second byte times 128), then its
    bytes in UTF-8 with U+2581 for a space; single-byte tokens stand for themselves.
    """
    table = path.read_bytes()
    tokens: list[bytes] = []
    at = 0
    while at < len(table):
        length = table[at]
        at += 1
        if length >= 128:
            length += (table[at] - 1) * 128
            at += 1
        tokens.append(table[at : at + length])
        at += length
    if at != len(table):
        raise ConfigError(f"{path} is not a Moonshine tokenizer: it ends inside token {len(tokens) - 1}")
    control = (b"<unk>", b"<s>", b"</s>")
    return [b"" if token in control or token.startswith(b"<<ST_") else token for token in tokens]


def looping(tokens: Sequence[int]) -> int:
    """The length of the group of tokens that the text ends in too many times over; 0 where there is none."""
    shortest = 1
    for longest, times in _REPEATS:
        for group in range(shortest, longest + 1):
            span = group * times
            if len(tokens) >= span and tuple(tokens[-span:-group]) == tuple(tokens[-span + group :]):
                return group
        shortest = longest + 1
    return 0


def unlooped(tokens: Sequence[int], group: int) -> list[int]:
    """The same with the last group said once."""
    end = len(tokens)
    while end >= 2 * group and tokens[end - group : end] == tokens[end - 2 * group : end - group]:
        end -= group
    return list(tokens[:end])


def believed(text: str, confidence: float, tokens: int) -> str:
    """The text, or nothing where it is what the model says about sounds that are no speech."""
    words = "".join(c if c.isalnum() or c in "' " else " " for c in text.lower()).split()
    if not words or confidence < (_CONFIDENCE_MIN_SHORT if tokens <= _SHORT_TOKENS else _CONFIDENCE_MIN):
        return ""
    return "" if confidence < _HALLUCINATIONS.get(" ".join(words), 0.0) else text


def _audible(samples: Samples) -> bool:
    width = SAMPLE_RATE_HZ // 100
    whole = samples[: samples.size - samples.size % width].reshape(-1, width)
    return bool(np.sqrt(np.mean(whole * whole, axis=1)).max() >= _AUDIBLE_RMS)


def _log_probability(logits: Samples) -> float:
    """Of the best token: ``-log(sum(exp(x - max)))``."""
    return -math.log(float(np.exp(logits - logits.max()).sum()))
