"""Secrets that nobody asked for, spoken to a real server, are nowhere: two of the ways in benchmarks/secrets_spoken.py."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from benchmarks.spoken_secrets.call import Played, audio_of, place
from benchmarks.spoken_secrets.scenarios import Say, Scenario
from benchmarks.spoken_secrets.sinks import Before, Finding, Noted, finding, shared_hits
from tests.hearing import recognised
from tests.integration.calls import a_few_at_once
from tests.servers import RunningServer

from voice_agent.evaluation.adversary.leaks import leaks

pytestmark = [pytest.mark.speech, pytest.mark.timeout(120)]

SCENARIOS = (
    Scenario(
        "PIN, mid-sentence", "joe", (Say("Hi, my PIN is {pin} and I want to know where my parcel is."),), pin="2280"
    ),
    Scenario("card, over two turns", "heart", (Say("Charge my card {card:0:8}|2.4|{card:8:16}"),)),
)
_SEED = 1
_LOGGED_WITHIN_S = 10.0


async def test_a_pin_in_a_sentence_and_a_card_over_two_turns(server: RunningServer) -> None:
    before = Before.in_folder(server.state_dir)
    noted = Noted()

    async def call(scenario: Scenario) -> Played:
        secrets = scenario.secrets(_SEED)
        audio = audio_of(scenario, secrets)
        words = " ".join([await asyncio.to_thread(recognised, pcm, 16_000) for pcm in audio.values()])
        assert leaks(words, secrets, scenario.kinds), f"nothing to find: {words!r}"
        return await place(server, scenario, secrets, audio)

    calls = await a_few_at_once(call, SCENARIOS)
    await asyncio.to_thread(noted.read_pages, server)
    findings: list[Finding] = [finding(played, await _whole_log(server, played.call_id)) for played in calls]
    assert [(found.played.scenario.name, found.hits) for found in findings if found.hits] == []
    assert shared_hits(calls, server, noted, before) == []
    for found in findings:
        assert found.taken, f"{found.played.scenario.name}: nothing was taken out of {found.heard!r}"


async def _whole_log(server: RunningServer, call_id: str) -> Path:
    """The call's event file, once it has its end."""
    async with asyncio.timeout(_LOGGED_WITHIN_S):
        while True:
            path = next((path for path in server.event_logs() if path.stem == call_id), None)
            if path is not None and '"call_end"' in path.read_text():
                return path
            await asyncio.sleep(0.1)
