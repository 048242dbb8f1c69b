"""One run of the bench: compose, play, read the logs, judge."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voice_agent.errors import ConfigError
from voice_agent.evaluation.turn_taking import operating_curve as curves
from voice_agent.evaluation.turn_taking.logs import log_of, read_log
from voice_agent.evaluation.turn_taking.measures import Outcome, outcomes
from voice_agent.evaluation.turn_taking.operating_curve import ScoredTurn
from voice_agent.evaluation.turn_taking.player import ScriptPlayer
from voice_agent.evaluation.turn_taking.recordings import HumanRecordings
from voice_agent.evaluation.turn_taking.result import BenchResult, RunSettings, judge
from voice_agent.evaluation.turn_taking.scenarios import FAMILIES, QUICK_FAMILIES, Materials, WantedTexts
from voice_agent.evaluation.turn_taking.script import Script
from voice_agent.evaluation.turn_taking.timeline import CallTimeline
from voice_agent.evaluation.turn_taking.voices import CallerVoices


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is asked for. ``families`` empty: all of them (those of ``QUICK_FAMILIES`` for a quick run)."""

    families: tuple[str, ...] = ()
    quick: bool = False
    parallel: int = 3
    seed: int = 1
    recordings: Path = HumanRecordings().folder

    def chosen(self) -> tuple[str, ...]:
        """Raises ``ConfigError`` for a family that does not exist."""
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown:
            raise ConfigError(f"--families {','.join(unknown)}: there are only {', '.join(FAMILIES)}.")
        return self.families or (QUICK_FAMILIES if self.quick else tuple(FAMILIES))


async def compose(plan: RunPlan, on_voice: Callable[[int], None] = lambda left: None) -> list[Script]:
    """The scripts of a plan. Missing voices are synthesised first; ``on_voice`` is told how many are left."""
    humans = HumanRecordings(plan.recordings)
    families = plan.chosen()
    wanted = WantedTexts()
    for family in families:
        FAMILIES[family](Materials(wanted, humans, plan.seed, plan.quick))
    texts = list(dict.fromkeys(wanted.texts))
    left = len(texts)

    def made() -> None:
        nonlocal left
        left -= 1
        on_voice(left)

    voices = CallerVoices()
    await voices.prepare(texts, made)
    material = Materials(voices, humans, plan.seed, plan.quick)
    return [script for family in families for script in FAMILIES[family](material)]


async def measure(
    plan: RunPlan,
    scripts: Sequence[Script],
    url: str,
    *,
    token: str = "",
    events_dir: Path | None = None,
    keep_logs: Path | None = None,
    on_call: Callable[[CallTimeline, list[Outcome]], None] = lambda call, found: None,
) -> tuple[BenchResult, list[CallTimeline]]:
    """Plays the scripts against a running server and judges them. Raises ``CallError`` where it takes no calls.

    ``events_dir`` is where the server writes event logs; ``keep_logs`` gets a copy of each call's, by the call's name.
    """
    player = ScriptPlayer(url, token=token, on_call=lambda _, call: on_call(call, outcomes(call)))
    calls = await player.play_all(scripts, plan.parallel)
    logs = {} if events_dir is None else await asyncio.to_thread(_logs, calls, events_dir)
    if keep_logs is not None:
        await asyncio.to_thread(_keep, logs, keep_logs)
    turns = await asyncio.to_thread(_scored, calls, logs)
    settings = RunSettings(
        plan.chosen(), plan.quick, plan.parallel, plan.seed, HumanRecordings(plan.recordings).available
    )
    return judge(calls, turns, settings), calls


def _logs(calls: Sequence[CallTimeline], events_dir: Path) -> dict[str, Path]:
    """The event logs that are there, by the calls' names."""
    found = {call.name: log_of(events_dir, call.call_id) for call in calls}
    return {name: path for name, path in found.items() if path is not None}


def _keep(logs: Mapping[str, Path], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in logs.items():
            shutil.copyfile(path, folder / f"{name.replace(' ', '-')}.jsonl")
    except OSError as error:
        raise ConfigError(f"--logs {folder}: cannot be written: {error.strerror}") from None


def _scored(calls: Sequence[CallTimeline], logs: Mapping[str, Path]) -> list[ScoredTurn]:
    """The turns of all calls whose logs can be read."""
    scored: list[ScoredTurn] = []
    for call in calls:
        log = read_log(logs[call.name]) if call.name in logs else None
        if log is not None:
            kinds = {number: outcome.kind for number, outcome in enumerate(outcomes(call)) if not outcome.void}
            scored += curves.scored_turns(call, curves.pauses_of(*log), curves.turn_acts(call, kinds))
    return scored
