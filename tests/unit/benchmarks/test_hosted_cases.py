"""The fault matrix' table: a fault that is left out would look like one that is survived."""

from __future__ import annotations

import itertools

import pytest
from benchmarks.hosted.cases import FALLBACKS, HOSTED, Begin, matrix

from voice_agent.dev_vendors.faults import Fault, Stage


def test_every_stage_meets_every_fault_once_and_dies_once() -> None:
    cases = matrix(tuple(Stage), tuple(Fault), dead=True)
    living = [(case.stage, case.fault) for case in cases if not case.dead]
    assert sorted(living) == sorted(itertools.product(Stage, Fault))
    assert [case.stage for case in cases if case.dead] == list(Stage)


def test_most_faults_must_bring_another_provider() -> None:
    spared = {
        (case.stage, case.fault) for case in matrix(tuple(Stage), tuple(Fault), dead=True) if not case.must_switch
    }
    assert spared == {
        (Stage.ASR, Fault.RECYCLED),
        (Stage.ASR, Fault.RESET),
        (Stage.ASR, Fault.HALF_FRAME),
        (Stage.TTS, Fault.RECYCLED),
    }


@pytest.mark.parametrize("stage", Stage)
def test_a_recogniser_that_is_refused_at_the_door_is_so_from_the_beginning(stage: Stage) -> None:
    begins = {case.fault: case.begin for case in matrix((stage,), tuple(Fault), dead=False)}
    if stage is Stage.ASR:
        assert begins[Fault.UNAUTHORIZED] is Begin.CALL
        assert begins[Fault.RESET] is Begin.WORDS
    else:
        assert set(begins.values()) == {Begin.TURN}


def test_each_stage_has_somebody_to_take_over() -> None:
    assert set(FALLBACKS) == set(HOSTED) == set(Stage)
