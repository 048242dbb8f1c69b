"""The Moonshine model itself: accuracy on human speech, what it must not say, cutting, vocabulary."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import jiwer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.hearing import Prompt, plain_words

from voice_agent.audio.frames import pcm_of
from voice_agent.errors import ConfigError
from voice_agent.providers.asr.moonshine import (
    PIECE_S,
    Moonshine,
    Stop,
    Stopped,
    believed,
    looping,
    pieces,
    read_vocabulary,
    unlooped,
)

RATE_HZ = 16_000


# The model writes these compounds in two words.
COMPOUNDS = {"log in": "login", "key words": "keywords", "re ": "re"}


def spoken(text: str) -> str:
    text = plain_words(text)
    for apart, together in COMPOUNDS.items():
        text = re.sub(rf"\b{apart}", together, text)
    return text


def heard(model: Moonshine, pcm: bytes) -> str:
    return " ".join(piece.text for piece in model.transcribe(pcm, (), Stop()))


def test_word_error_rate_on_human_prompts(
    model: Moonshine, prompts: list[Prompt], figure: Callable[[str], None]
) -> None:
    assert len(prompts) >= 50
    references = [spoken(prompt.words) for prompt in prompts]
    hypotheses = [spoken(heard(model, prompt.pcm())) for prompt in prompts]
    error_rate = jiwer.wer(references, hypotheses)
    figure(f"word error rate of the local model, {len(prompts)} human prompts: {error_rate:.1%}")
    assert error_rate <= 0.06


def test_level_does_not_matter(model: Moonshine, beckett: NDArray[np.int16]) -> None:
    assert plain_words(heard(model, (beckett // 50).tobytes())) == plain_words(heard(model, beckett.tobytes()))


def test_a_draft_gives_the_same_text(model: Moonshine, beckett: NDArray[np.int16]) -> None:
    pcm = beckett[: int(4.6 * RATE_HZ)].tobytes()  # ends in a pause: half a word may be spelt in two ways equally well
    (fresh,) = model.transcribe(pcm, (), Stop())
    (early,) = model.transcribe(pcm[: len(pcm) // 2], (), Stop())
    for draft in (early.tokens, fresh.tokens, (*fresh.tokens, 5, 6, 7), (300, 301), fresh.tokens * 40):
        (drafted,) = model.transcribe(pcm, draft, Stop())
        assert drafted.text == fresh.text
        assert drafted.confidence == pytest.approx(fresh.confidence, abs=0.05)


@pytest.mark.parametrize("seconds", [0.0, 0.00003, 0.03, 0.05, 0.09, 0.1, 0.2, 3.0])
def test_silence_says_nothing(model: Moonshine, seconds: float) -> None:
    (nothing,) = model.transcribe(bytes(int(seconds * RATE_HZ) * 2), (), Stop())
    assert (nothing.text, nothing.confidence) == ("", 0.0)


@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("level", [1e-4, 1e-3, 1e-1])
def test_steady_noise_says_nothing_trustworthy(model: Moonshine, seconds: float, level: float) -> None:
    noise = np.random.default_rng(0).standard_normal(int(seconds * RATE_HZ)) * level
    (piece,) = model.transcribe(pcm_of(noise), (), Stop())
    assert piece.text == "" or piece.confidence < 0.6, piece


def test_a_tone_says_nothing(model: Moonshine) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    assert heard(model, pcm_of(tone)) == ""


def test_an_odd_byte_is_left_out(model: Moonshine, beckett: NDArray[np.int16]) -> None:
    pcm = beckett[: 3 * RATE_HZ].tobytes()
    assert heard(model, pcm + b"\x01") == heard(model, pcm)


def test_long_audio_is_cut_in_pauses_and_nothing_is_lost(model: Moonshine, beckett: NDArray[np.int16]) -> None:
    twice = np.concatenate([beckett, beckett])
    hypotheses = model.transcribe(twice.tobytes(), (), Stop())
    assert len(hypotheses) >= 2
    assert sum(piece.samples for piece in hypotheses) == twice.size
    once = plain_words(heard(model, beckett.tobytes()))
    said = plain_words(" ".join(piece.text for piece in hypotheses))
    assert jiwer.wer(f"{once} {once}", said) <= 0.15  # context is lost at the cuts, no more than that


def test_a_stop_is_obeyed(model: Moonshine, beckett: NDArray[np.int16]) -> None:
    stop = Stop()
    stop.requested = True
    with pytest.raises(Stopped):
        model.transcribe(beckett.tobytes(), (), stop)


@given(st.integers(0, 60 * 100), st.integers(0, 2**32 - 1))
def test_pieces_are_bounded_complete_and_stable(hundredths: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(hundredths * RATE_HZ // 100).astype(np.float32) * np.float32(0.1)
    parts = list(pieces(samples))
    np.testing.assert_array_equal(np.concatenate(parts), samples)
    assert all(part.size <= PIECE_S * RATE_HZ for part in parts)
    assert all(part.size >= PIECE_S * RATE_HZ / 2 for part in parts[:-1])
    more = np.concatenate([samples, np.zeros(RATE_HZ * 20, np.float32)])
    for before, after in zip(parts[:-1], pieces(more), strict=False):
        assert before.size == after.size


def test_looping_allows_what_people_say() -> None:
    assert looping([7] * 9) == 0
    assert looping([1, 2, 3] * 3) == 0
    assert looping([5, 6] * 5) == 0
    assert looping(list(range(100))) == 0


@pytest.mark.parametrize(("group", "times"), [((7,), 10), ((7, 8), 6), ((1, 2, 3), 4), (tuple(range(12)), 4)])
def test_looping_finds_and_cuts_repetition(group: tuple[int, ...], times: int) -> None:
    tokens = [90, 91, *group * times]
    assert looping(tokens) == len(group)
    assert unlooped(tokens, len(group)) == [90, 91, *group]


@pytest.mark.parametrize(
    ("text", "confidence", "tokens", "kept"),
    [
        ("You", 0.99, 1, False),
        ("Thank you for watching!", 0.9, 5, False),
        ("Thank you.", 0.6, 3, False),
        ("Thank you.", 0.9, 3, True),
        ("♪ ♪", 0.9, 6, False),
        ("Where is my order?", 0.35, 6, True),
        ("Where is my order?", 0.25, 6, False),
        ("Four.", 0.6, 2, True),
        ("It", 0.4, 1, False),
    ],
)
def test_what_is_believed(text: str, confidence: float, tokens: int, kept: bool) -> None:
    assert believed(text, confidence, tokens) == (text if kept else "")


def test_vocabulary_format(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.bin"
    long = b"x" * 200
    entries = [b"<unk>", b"<s>", b"</s>", "▁a".encode(), b"\xff", long, b"<<ST_0>>"]
    lengths = [bytes([len(e)]) if len(e) < 128 else bytes([len(e) % 128 + 128, len(e) // 128]) for e in entries]
    path.write_bytes(b"".join(length + entry for length, entry in zip(lengths, entries, strict=True)))
    assert read_vocabulary(path) == [b"", b"", b"", "▁a".encode(), b"\xff", long, b""]
    path.write_bytes(b"\x05ab")
    with pytest.raises(ConfigError, match="inside token 0"):
        read_vocabulary(path)
