"""The spoken secrets' table: what is missing from it is not looked for."""

from __future__ import annotations

from benchmarks.spoken_secrets.scenarios import SCENARIOS, Key, Say

from voice_agent.store.demo import demo_callers


def test_there_are_enough_calls_of_every_kind_in_several_voices() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) >= 30
    for kind in ("pin", "card", "cvv"):
        assert sum(kind in scenario.kinds for scenario in SCENARIOS) >= 4
    assert len({scenario.voice for scenario in SCENARIOS}) >= 4
    lines = [line for scenario in SCENARIOS for line in scenario.lines]
    assert any(isinstance(line, Key) for line in lines)
    assert any(isinstance(line, Say) and line.over for line in lines)
    assert any(isinstance(line, Say) and line.last for line in lines)
    assert any("|" in line.text for line in lines)


def test_each_pin_is_its_callers_and_spoken_in_one_call_only() -> None:
    pins = {caller.caller_id: caller.pin for caller in demo_callers()}
    assert all(pins[scenario.caller_id] == scenario.pin for scenario in SCENARIOS)
    spoken = [scenario.pin for scenario in SCENARIOS if "pin" in scenario.kinds]
    assert len(set(spoken)) == len(spoken)  # a find in what calls share belongs to one of them
