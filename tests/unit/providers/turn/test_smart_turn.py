"""The end-of-turn model: finished sentences score above the same sentences cut in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from tests.hearing import Prompt

from voice_agent.audio.frames import pcm_of
from voice_agent.errors import ConfigError
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.turn.smart_turn import SmartTurnModel

RATE_HZ = 16_000
PAUSE = pcm_of(np.random.default_rng(1).standard_normal(RATE_HZ // 5) * 1e-4)


@pytest.fixture
async def pool() -> AsyncIterator[ModelPool]:
    pool = ModelPool(workers=2)
    yield pool
    await pool.close()


@pytest.fixture
async def turn_model(pool: ModelPool) -> SmartTurnModel:
    turn_model = SmartTurnModel(pool)
    await turn_model.warm_up()
    return turn_model


async def test_tells_finished_from_cut_sentences(turn_model: SmartTurnModel, prompts: list[Prompt]) -> None:
    sentences = [prompt.pcm() for prompt in prompts if len(prompt.words.split()) >= 7][::2]
    finished = [await turn_model.completeness(pcm + PAUSE) for pcm in sentences]
    cut = [await turn_model.completeness(pcm[: len(pcm) * 2 // 5 // 2 * 2] + PAUSE) for pcm in sentences]
    assert len(sentences) >= 15
    assert median(finished) > 0.8
    assert sum(score >= 0.5 for score in finished) >= 0.8 * len(sentences)
    assert median(cut) < median(finished) - 0.1


async def test_only_the_last_eight_seconds_count(turn_model: SmartTurnModel, prompts: list[Prompt]) -> None:
    tail = (b"".join(prompt.pcm() for prompt in prompts[:4]) + PAUSE)[-8 * RATE_HZ * 2 :]
    before = pcm_of(np.random.default_rng(2).standard_normal(RATE_HZ * 3) * 0.1)
    assert await turn_model.completeness(before + tail) == await turn_model.completeness(tail)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 641, 8 * RATE_HZ * 2 + 2])
async def test_any_length_gives_a_probability(turn_model: SmartTurnModel, size: int) -> None:
    assert 0.0 <= await turn_model.completeness(bytes(size)) <= 1.0


async def test_the_first_question_loads_the_model(pool: ModelPool) -> None:
    assert 0.0 <= await SmartTurnModel(pool).completeness(PAUSE) <= 1.0


async def test_refuses_a_file_that_is_no_model(pool: ModelPool, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ConfigError, match=r"broken\.onnx"):
        await SmartTurnModel(pool, model_path=broken).warm_up()
