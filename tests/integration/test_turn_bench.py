"""The turn-taking bench against a real server: what it plays is answered, judged, and decided again from the log."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.servers import RunningServer

from voice_agent.evaluation.turn_taking.bench import RunPlan, compose, measure
from voice_agent.evaluation.turn_taking.timeline import Kind

pytestmark = [pytest.mark.speech, pytest.mark.timeout(180)]


async def test_a_short_call_is_played_and_judged(server: RunningServer) -> None:
    plan = RunPlan(families=("backchannels",), quick=True, parallel=1)
    (script,) = await compose(plan)
    short = replace(script, steps=script.steps[:3])  # a question, and two sounds during its answer
    result, (call,) = await measure(plan, [short], server.url, events_dir=server.state_dir / "calls")
    asked, *sounds = result.outcomes
    assert not call.problem
    assert (asked.kind, asked.answered, asked.cut_off) == (Kind.TURN, True, False)
    assert asked.latency_s is not None
    assert asked.latency_s > 0
    assert [sound.kind for sound in sounds] == [Kind.BACKCHANNEL, Kind.BACKCHANNEL]
    assert all(sound.over_agent and sound.passed is not None for sound in sounds)
    assert result.curve is not None, "the event log was found and its pause decided again"
    assert result.curve.turns == 1
