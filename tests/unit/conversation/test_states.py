"""The state tables: total where they must be, sound, and drawn as they are."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import pytest

from voice_agent.conversation import states
from voice_agent.errors import BugError

ROOT = Path(__file__).parents[3]


def test_the_diagrams_in_the_architecture_are_those_of_the_tables() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert runpy.run_path(str(ROOT / "docs/draw_states.py"))["redrawn"](text) == text, "run python docs/draw_states.py"


@pytest.mark.parametrize("table", [states.CALLER_TABLE, states.AGENT_TABLE, states.CALL_TABLE])
def test_every_state_can_be_reached(table: Mapping[tuple[StrEnum, StrEnum], StrEnum]) -> None:
    first = next(iter(table))[0]
    assert {first, *table.values()} == set(type(first))


def test_settling_and_stopping_are_always_legal() -> None:
    for caller in states.CallerState:
        settled = states.advance(states.CALLER_TABLE, caller, states.CallerTrigger.SETTLE)
        assert settled is states.CallerState.SILENT
    for agent in states.AgentState:
        assert states.advance(states.AGENT_TABLE, agent, states.AgentTrigger.STOP) is states.AgentState.IDLE


def test_a_pair_outside_the_table_is_a_bug() -> None:
    with pytest.raises(BugError, match="no transition"):
        states.advance(states.CALL_TABLE, states.CallState.ENDED, states.CallTrigger.ADMIT)
