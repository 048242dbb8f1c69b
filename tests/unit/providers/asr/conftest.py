"""The recogniser's model, a pool, and the recording that comes in the model's own package."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray

from voice_agent.audio.frames import samples_of
from voice_agent.evaluation.caller_audio import read_wav
from voice_agent.providers import weights
from voice_agent.providers.asr.moonshine import Moonshine
from voice_agent.providers.pool import ModelPool


@pytest.fixture(scope="session")
def model() -> Moonshine:
    return Moonshine(weights.moonshine())


@pytest.fixture
async def pool() -> AsyncIterator[ModelPool]:
    pool = ModelPool(workers=2, queue=16)
    yield pool
    await pool.close()


@pytest.fixture(scope="session")
def beckett() -> NDArray[np.int16]:
    """Ten seconds, 16 kHz: "Ever tried, ever failed, no matter. Try again, fail again, fail better." """
    return samples_of(read_wav(weights.package_file("moonshine_voice", "assets/beckett.wav"), 16_000))
