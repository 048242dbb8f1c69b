"""The result of a run as JSON, the baseline kept in the repository, and how a run differs from it."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voice_agent import __version__
from voice_agent.errors import ConfigError
from voice_agent.evaluation.turn_taking import operating_curve as curves
from voice_agent.evaluation.turn_taking.bootstrap import Figure
from voice_agent.evaluation.turn_taking.measures import Outcome, outcomes
from voice_agent.evaluation.turn_taking.operating_curve import OperatingCurve, ScoredTurn
from voice_agent.evaluation.turn_taking.summary import (
    CURVE_METRICS,
    METRICS,
    Metric,
    by_family,
    figures,
    panel,
    tick_panel,
)
from voice_agent.evaluation.turn_taking.ticks import TickEvents, tick_events
from voice_agent.evaluation.turn_taking.timeline import CallTimeline

SCHEMA = 1
BASELINE = Path(__file__).with_name("baseline.json")
ALL = "all"
_COMPOSED_BY = ("families", "quick", "seed", "human_recordings")  # the settings that decide what is played
_LEAST_TRIALS = 8  # with fewer an interval says nothing
_BASELINE_KEYS = ("schema", "at", "version", "commit", "machine", "settings", "families", "panel", "curve")


@dataclass(frozen=True, slots=True)
class RunSettings:
    families: tuple[str, ...]
    quick: bool
    parallel: int
    seed: int
    human_recordings: bool


@dataclass(frozen=True, slots=True)
class BenchResult:
    """Everything of one run. ``families`` has an entry ``ALL`` besides each family's."""

    settings: RunSettings
    outcomes: tuple[Outcome, ...]
    families: Mapping[str, Mapping[str, Figure]]
    panel_exact: Mapping[str, Figure]
    panel_ticks: Mapping[str, Figure]
    panel_ticks_strict: Mapping[str, Figure]
    curve: OperatingCurve | None
    problems: tuple[str, ...]
    worst_lateness_ms: float


def judge(calls: Sequence[CallTimeline], turns: Sequence[ScoredTurn], settings: RunSettings) -> BenchResult:
    """Judges played calls. Pure."""
    seed = settings.seed
    found = [outcome for call in calls for outcome in outcomes(call)]
    strict, kept = TickEvents(), TickEvents()
    for call in calls:
        strict.add(tick_events(call, keep_pauses=False))
        kept.add(tick_events(call, keep_pauses=True))
    curve = curves.curve(turns, seed)
    families: dict[str, Mapping[str, Figure]] = {ALL: figures(found, seed)}
    families |= by_family(found, lambda some: figures(some, seed))
    return BenchResult(
        settings,
        tuple(found),
        families,
        panel(found, seed),
        tick_panel(kept, seed),
        tick_panel(strict, seed),
        curve,
        tuple(f"{call.name}: {call.problem}" for call in calls if call.problem),
        1e3 * max((call.worst_lateness_s for call in calls), default=0.0),
    )


def as_json(result: BenchResult) -> dict[str, Any]:
    """The whole result; ``acts`` has one entry for each thing a caller did."""
    curve = result.curve
    return {
        "schema": SCHEMA,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "commit": _commit(),
        "machine": _machine(),
        "settings": asdict(result.settings) | {"families": list(result.settings.families)},
        "families": {name: _figures(some) for name, some in result.families.items()},
        "panel": {
            "exact": _figures(result.panel_exact),
            "ticks": _figures(result.panel_ticks),
            "ticks_as_published": _figures(result.panel_ticks_strict),
        },
        "curve": None if curve is None else curves.as_json(curve) | _figures(curve_figures(curve)),
        "problems": list(result.problems),
        "worst_sender_lateness_ms": round(result.worst_lateness_ms, 1),
        "acts": [_act(outcome) for outcome in result.outcomes],
    }


def curve_figures(curve: OperatingCurve) -> dict[str, Figure]:
    delay = curve.delay_at_5_percent
    in_ms = Figure(1e3 * delay.value, 1e3 * delay.low, 1e3 * delay.high, delay.n)
    return {CURVE_METRICS[0].key: curve.cut_at_300_ms, CURVE_METRICS[1].key: in_ms}


def save_baseline(result: Mapping[str, Any], path: Path = BASELINE) -> None:
    """Keeps a run's figures, without its single trials. Raises ``ConfigError`` where the file cannot be written."""
    write_json({key: result[key] for key in _BASELINE_KEYS}, path)


def write_json(body: Mapping[str, Any], path: Path) -> None:
    """Raises ``ConfigError`` where the file cannot be written."""
    try:
        path.write_text(json.dumps(body, indent=1) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None


def read_result(path: Path) -> dict[str, Any]:
    """A baseline or a result. Raises ``ConfigError`` for anything else."""
    try:
        body = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"--compare {path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"--compare {path}: this is no JSON file") from None
    if not isinstance(body, dict) or body.get("schema") != SCHEMA or not isinstance(body.get("families"), dict):
        raise ConfigError(f"--compare {path}: this is no result of `voice-agent bench turns` of this version")
    return body


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure now and in the baseline. ``beyond`` is true where each lies outside of the other's interval; ``better``
    says in which direction."""

    family: str
    metric: Metric
    now: Figure
    before: Figure
    beyond: bool
    better: bool


def differences(result: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[Difference]:
    """All figures that both have with enough trials, family by family; those over all calls only where both runs were
    composed alike."""
    out: list[Difference] = []
    alike = all(result["settings"].get(key) == baseline["settings"].get(key) for key in _COMPOSED_BY)
    for family, now in result["families"].items():
        if family != ALL or alike:
            out += _differences(family, METRICS, now, baseline["families"].get(family, {}))
    if alike:
        out += _differences(ALL, CURVE_METRICS, result.get("curve") or {}, baseline.get("curve") or {})
    return out


def _differences(
    family: str, metrics: Sequence[Metric], now: Mapping[str, Any], before: Mapping[str, Any]
) -> Iterator[Difference]:
    for metric in metrics:
        if now.get(metric.key) is None or before.get(metric.key) is None:
            continue
        new, old = _read(now[metric.key]), _read(before[metric.key])
        if min(new.n, old.n) >= _LEAST_TRIALS:
            beyond = not (old.low <= new.value <= old.high) and not (new.low <= old.value <= new.high)
            yield Difference(family, metric, new, old, beyond, (new.value - old.value) * metric.better > 0)


def _figures(some: Mapping[str, Figure]) -> dict[str, Any]:
    """None for a figure without trials."""
    return {key: None if math.isnan(figure.value) else _written(figure) for key, figure in some.items()}


def _written(figure: Figure) -> dict[str, float]:
    return {
        "value": round(figure.value, 4),
        "low": round(figure.low, 4),
        "high": round(figure.high, 4),
        "n": figure.n,
    }


def _read(written: Mapping[str, Any]) -> Figure:
    return Figure(float(written["value"]), float(written["low"]), float(written["high"]), int(written["n"]))


def _act(outcome: Outcome) -> dict[str, Any]:
    body = asdict(outcome)
    return {
        key: round(value, 4) if isinstance(value, float) else value
        for key, value in body.items()
        if value not in (None, "")
    }


def _commit() -> str:
    """The commit of the checkout that this file lies in; empty outside of one."""
    try:
        command = ["git", "rev-parse", "--short", "HEAD"]
        done = subprocess.run(  # noqa: S603 - a fixed command
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
