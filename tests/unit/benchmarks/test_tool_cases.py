"""The table of failing tools: a fault that is left out would look like one that is survived."""

from __future__ import annotations

from benchmarks.shop.cases import CASES, DOWN, READ, WRITE, Told

from voice_agent.demo_backend.faults import Fault

_AFTER_THE_WORK = {Fault.HANG_AFTER, Fault.ERROR_AFTER}  # a read has no work to have done


def test_what_reads_and_what_writes_meet_every_fault() -> None:
    assert {case.fault for case in CASES if case.tool == READ} == {*Fault, DOWN} - _AFTER_THE_WORK
    assert {case.fault for case in CASES if case.tool == WRITE} == {*Fault, DOWN}
    assert len({case.name for case in CASES}) == len(CASES)


def test_nobody_is_told_that_a_change_was_not_made_which_was() -> None:
    for case in CASES:
        assert not (case.made and case.told is Told.FALLBACK), case.name
        assert case.tool == READ or case.made or case.told is not Told.ANSWER, case.name
