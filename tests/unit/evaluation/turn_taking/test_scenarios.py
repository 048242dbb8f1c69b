"""Scripted calls: composed the same way from the same seed, with the levels, pauses and noise that were asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voice_agent.audio.frames import bytes_for, pcm_of, silence
from voice_agent.errors import ConfigError
from voice_agent.evaluation.caller_audio import voiced_span, write_wav
from voice_agent.evaluation.caller_line import NOMINAL_DBFS, active_level_dbfs, levelled
from voice_agent.evaluation.turn_taking import scenarios
from voice_agent.evaluation.turn_taking.bench import RunPlan
from voice_agent.evaluation.turn_taking.compose import cut_before, joined_speech, pauses_in
from voice_agent.evaluation.turn_taking.phrases import PAUSES_S
from voice_agent.evaluation.turn_taking.recordings import SENTENCES, SIDE_TALK, HumanRecordings
from voice_agent.evaluation.turn_taking.scenarios import FAMILIES, QUICK_FAMILIES, Materials, WantedTexts
from voice_agent.evaluation.turn_taking.script import Script
from voice_agent.evaluation.turn_taking.timeline import Kind

RATE_HZ = 16_000


def speech(seconds: float, hz: float = 220.0) -> bytes:
    """A tone with silence at both ends, as recordings have."""
    tone = pcm_of(0.2 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ))
    return silence(0.1, RATE_HZ) + tone + silence(0.2, RATE_HZ)


class ToneVoices:
    """Says every text as a tone at the nominal level, longer for longer texts."""

    def said(self, text: str, voice: str) -> bytes:
        return levelled(speech(0.2 + 0.05 * len(text), 180.0 if voice == "low" else 260.0), RATE_HZ)


@pytest.fixture(scope="module")
def humans(tmp_path_factory: pytest.TempPathFactory) -> HumanRecordings:
    """A folder as the package installs it, with tones for words."""
    folder = tmp_path_factory.mktemp("prompts")
    for name in [*SENTENCES, *SIDE_TALK, *(f"digits/{digit}" for digit in [*"0123456789", "oh"])]:
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, speech(0.4), 8000)
    return HumanRecordings(folder)


def built(family: str, humans: HumanRecordings, *, seed: int = 1, quick: bool = False) -> list[Script]:
    return FAMILIES[family](Materials(ToneVoices(), humans, seed, quick))


@pytest.mark.parametrize("gap_s", [0.3, 0.6, 1.0])
def test_the_pause_between_parts_lasts_what_was_asked(gap_s: float) -> None:
    pcm = joined_speech([speech(0.5), speech(0.3)], [gap_s], RATE_HZ)
    ((start_s, end_s),) = pauses_in(pcm, RATE_HZ)
    assert end_s - start_s == pytest.approx(gap_s, abs=0.02)
    span = voiced_span(pcm, RATE_HZ)
    assert span is not None
    assert span[1] - span[0] == pytest.approx(0.5 + gap_s + 0.3, abs=0.03)


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="gaps"):
        joined_speech([speech(0.5)], [0.3], RATE_HZ)
    with pytest.raises(ValueError, match="at least"):
        joined_speech([speech(0.5), speech(0.5)], [0.01], RATE_HZ)
    with pytest.raises(ValueError, match="voiced"):
        joined_speech([speech(0.5), silence(0.5, RATE_HZ)], [0.3], RATE_HZ)


def test_a_sentence_is_cut_at_the_weakest_place_where_its_beginning_would_end() -> None:
    first, gap, second = speech(0.6)[3200:-6400], silence(0.04, RATE_HZ), speech(0.5)[3200:-6400]
    before, after = cut_before(first + gap + second, speech(0.66), RATE_HZ)
    assert len(before) + len(after) == len(first + gap + second)
    assert len(before) / (2 * RATE_HZ) == pytest.approx(0.62, abs=0.02)
    with pytest.raises(ValueError, match="voiced"):
        cut_before(silence(1.0, RATE_HZ), first, RATE_HZ)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_seed_composes_one_set_of_calls(family: str, humans: HumanRecordings) -> None:
    assert built(family, humans) == built(family, humans)
    assert all(script.family == family and script.steps for script in built(family, humans))
    names = [script.name for script in built(family, humans)]
    assert len(set(names)) == len(names)


def test_another_seed_composes_others(humans: HumanRecordings) -> None:
    assert built("backchannels", humans, seed=1) != built("backchannels", humans, seed=2)


@pytest.mark.parametrize("family", FAMILIES)
def test_quick_is_one_short_call(family: str, humans: HumanRecordings) -> None:
    (script,) = built(family, humans, quick=True)
    assert len(script.steps) <= 13


@pytest.mark.parametrize("family", FAMILIES)
def test_without_recordings_the_synthesised_part_is_left(family: str, tmp_path: Path) -> None:
    scripts = built(family, HumanRecordings(tmp_path))
    assert scripts
    assert not any("human" in step.variant for script in scripts for step in script.steps)


def test_controlled_pauses_come_as_often_and_as_long_as_they_say(humans: HumanRecordings) -> None:
    steps = [step for script in built("pauses", humans) for step in script.steps if step.variant != "context"]
    for pause_s in PAUSES_S:
        mine = [step for step in steps if step.variant.endswith(f", {pause_s:g} s")]
        assert len(mine) >= len(steps) // 4
        for step in mine:
            longest_s = max(end_s - start_s for start_s, end_s in pauses_in(step.pcm, RATE_HZ))
            assert longest_s == pytest.approx(pause_s, abs=0.02), step.label


def test_side_talk_is_weaker_by_what_it_says(humans: HumanRecordings) -> None:
    for script in built("side-talk", humans):
        for step in script.steps:
            if step.kind is Kind.SIDE_TALK:
                below_db = float(step.variant.split(", ")[1].removesuffix(" dB"))
                assert active_level_dbfs(step.pcm, RATE_HZ) == pytest.approx(NOMINAL_DBFS + below_db, abs=0.5)


def test_noise_calls_have_the_ratio_on_their_line(humans: HumanRecordings) -> None:
    for script in built("noise", humans):
        assert script.line.noise_dbfs is not None
        snr_db = NOMINAL_DBFS - script.line.noise_dbfs
        assert snr_db in scenarios.SNR_DB
        for step in script.steps:
            assert step.variant == f"SNR {snr_db:g} dB"
            assert active_level_dbfs(step.pcm, RATE_HZ) == pytest.approx(NOMINAL_DBFS, abs=0.2)


def test_telephone_calls_are_narrow(humans: HumanRecordings) -> None:
    for script in built("telephone", humans):
        assert script.line.rate_hz == 8000
        wide = built("interruptions", humans)[0].steps[0].pcm
        assert len(script.steps[0].pcm) < len(wide)


def test_echoes_span_delays_and_attenuations(humans: HumanRecordings) -> None:
    echoes = [script.line.echo for script in built("echo", humans)]
    assert all(echo is not None and 0.08 <= echo.delay_s <= 0.25 for echo in echoes)
    assert {echo.attenuation_db for echo in echoes if echo} >= {12.0, 30.0}


def test_what_is_wanted_of_the_voices_is_known_beforehand(humans: HumanRecordings) -> None:
    for family, build in FAMILIES.items():
        wanted = WantedTexts()
        build(Materials(wanted, humans, 1, False))
        spoken: set[tuple[str, str]] = set()

        class Noting(ToneVoices):
            def said(self, text: str, voice: str, spoken: set[tuple[str, str]] = spoken) -> bytes:
                spoken.add((text, voice))
                return super().said(text, voice)

        build(Materials(Noting(), humans, 1, False))
        assert set(wanted.texts) == spoken, family


def test_human_digits_are_read_one_by_one(humans: HumanRecordings) -> None:
    pcm = humans.digits("831o2", gap_s=0.2)
    assert len(pauses_in(pcm, RATE_HZ)) == 4
    assert len(pcm) > bytes_for(5 * 0.4, RATE_HZ)
    with pytest.raises(ConfigError, match="digits"):
        humans.digits("83x")


def test_a_plan_knows_its_families() -> None:
    assert RunPlan().chosen() == tuple(FAMILIES)
    assert RunPlan(quick=True).chosen() == QUICK_FAMILIES
    assert RunPlan(families=("echo",), quick=True).chosen() == ("echo",)
    with pytest.raises(ConfigError, match="nonsense"):
        RunPlan(families=("echo", "nonsense")).chosen()
