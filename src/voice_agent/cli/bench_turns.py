"""``voice-agent bench turns``: runs the turn-taking bench and shows it, while it runs and afterwards."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from voice_agent.config import Settings, load_settings
from voice_agent.errors import ConfigError
from voice_agent.evaluation.turn_taking import result as results
from voice_agent.evaluation.turn_taking.bench import RunPlan, compose, measure
from voice_agent.evaluation.turn_taking.bootstrap import Figure
from voice_agent.evaluation.turn_taking.measures import Outcome
from voice_agent.evaluation.turn_taking.recordings import DEFAULT_FOLDER, HOW_TO_GET_THEM, HumanRecordings
from voice_agent.evaluation.turn_taking.result import ALL, BenchResult
from voice_agent.evaluation.turn_taking.scenarios import FAMILIES
from voice_agent.evaluation.turn_taking.script import Script
from voice_agent.evaluation.turn_taking.server import bench_server
from voice_agent.evaluation.turn_taking.summary import CURVE_METRICS, METRICS, PANEL, Metric
from voice_agent.evaluation.turn_taking.timeline import CallTimeline, Kind

_COLUMNS = (
    ("response_latency_p50", "answer P50"),
    ("response_latency_p95", "P95"),
    ("cut_off_rate", "cut off"),
    ("yield_rate", "yields"),
    ("duck_p50", "duck P50"),
    ("yield_latency_p50", "silent P50"),
    ("selectivity_backchannel", "mm-hmm"),
    ("selectivity_noise", "noise"),
    ("selectivity_side_talk", "side talk"),
    ("selectivity_echo", "echo"),
)


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What the user asked for; ``url`` empty: a server is started. ``compare`` None: the committed baseline."""

    families: tuple[str, ...]
    quick: bool
    url: str
    events_dir: Path | None
    parallel: int
    seed: int
    recordings: Path | None
    json_file: Path | None
    report: Path | None
    logs: Path | None
    compare: Path | None
    save_baseline: bool


def list_families() -> None:
    table = Table("family", "what happens", box=None)
    for name, build in FAMILIES.items():
        table.add_row(name, " ".join((build.__doc__ or "").split()))
    Console(highlight=False).print(table)


def run_bench(options: BenchOptions) -> int:
    """0, or 1 where a figure is worse than the baseline's beyond both intervals. Raises ``ConfigError``, ``CallError``."""
    plan = RunPlan(
        options.families, options.quick, options.parallel, options.seed, options.recordings or DEFAULT_FOLDER
    )
    plan.chosen()
    baseline_path = options.compare or results.BASELINE
    baseline = results.read_result(baseline_path) if options.compare is not None or results.BASELINE.is_file() else None
    for path in (options.json_file, options.report):
        if path is not None and not path.resolve().parent.is_dir():
            raise ConfigError(f"{path} cannot be written: its folder does not exist")
    console = Console(highlight=False)
    if not HumanRecordings(plan.recordings).available:
        console.print(HOW_TO_GET_THEM.format(folder=plan.recordings), style="yellow", markup=False)
    found, calls = asyncio.run(_run(options, plan, console))
    body = results.as_json(found)
    _show(found, body, console)
    differences = results.differences(body, baseline) if baseline is not None else []
    if baseline is not None:
        _show_differences(differences, baseline_path, baseline, console)
    _write(options, found, calls, body, baseline, console)
    return 1 if any(difference.beyond and not difference.better for difference in differences) else 0


async def _run(options: BenchOptions, plan: RunPlan, console: Console) -> tuple[BenchResult, list[CallTimeline]]:
    settings = load_settings()
    with console.status("Preparing the callers' voices ...") as status:
        scripts = await compose(plan, lambda left: status.update(f"Preparing the callers' voices: {left} to go ..."))
    token = settings.server.access_token.get_secret_value()
    async with _server(options, settings, console) as (url, events_dir):
        board = _Board(scripts)
        with Live(board.table(), console=console, refresh_per_second=2, transient=True) as live:

            def ended(call: CallTimeline, found: list[Outcome]) -> None:
                board.add(found)
                live.update(board.table())

            return await measure(
                plan, scripts, url, token=token, events_dir=events_dir, keep_logs=options.logs, on_call=ended
            )


@asynccontextmanager
async def _server(
    options: BenchOptions, settings: Settings, console: Console
) -> AsyncIterator[tuple[str, Path | None]]:
    """The server's base URL and where its event logs are."""
    if options.url:
        yield options.url, options.events_dir
        return
    with console.status("Starting a server ..."):
        entered = bench_server()
        server = await entered.__aenter__()
    try:
        yield server.url, server.events_dir
    finally:
        await entered.__aexit__(None, None, None)


class _Board:
    """What is known so far, family by family."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._due: dict[str, int] = {}
        for script in scripts:
            self._due[script.family] = self._due.get(script.family, 0) + len(script.steps)
        self._found: dict[str, list[Outcome]] = {family: [] for family in self._due}

    def add(self, found: list[Outcome]) -> None:
        for outcome in found:
            self._found.setdefault(outcome.family, []).append(outcome)

    def table(self) -> Table:
        table = Table(title="Turn-taking, in real time", title_justify="left")
        for name in ("family", "done", "answered", "cut off", "yielded", "let pass"):
            table.add_column(name, justify="left" if name == "family" else "right")
        for family, found in self._found.items():
            valid = [o for o in found if not o.void]
            turns = [o for o in valid if o.kind is Kind.TURN]
            table.add_row(
                family,
                f"{len(found)}/{self._due[family]}",
                _of([bool(o.answered) for o in valid if o.answered is not None]),
                _of([bool(o.cut_off) for o in turns]),
                _of([bool(o.yielded) for o in valid if o.kind is Kind.INTERRUPTION]),
                _of([bool(o.passed) for o in valid if o.passed is not None]),
            )
        return table


def _of(values: list[bool]) -> str:
    return f"{sum(values)} of {len(values)}" if values else ""


def _show(result: BenchResult, body: Mapping[str, Any], console: Console) -> None:
    table = Table(title="By family: milliseconds, and shares; the last four: what is let pass", title_justify="left")
    table.add_column("family")
    for _, title in _COLUMNS:
        table.add_column(title, justify="right")
    for family, some in result.families.items():
        table.add_row(family, *(_short(some[key], key) for key, _ in _COLUMNS), style="bold" if family == ALL else "")
    console.print(table)
    table = Table(title="All calls, with 95 % intervals", title_justify="left")
    for column in ("figure", "value", "interval", "n"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    rows = [(metric, result.families[ALL][metric.key]) for metric in METRICS]
    if result.curve is not None:
        curve = results.curve_figures(result.curve)
        rows += [(metric, curve[metric.key]) for metric in CURVE_METRICS]
    for metric, figure in rows:
        if figure.n:
            table.add_row(metric.title, _value(figure, metric), _interval(figure, metric), str(figure.n))
    console.print(table)
    table = Table(title="The eight measures of tau-bench's voice panel", title_justify="left")
    for column in ("measure", "exactly", "on 200 ms ticks", "ticks, any pause a stop"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    for metric in PANEL:
        three = [each[metric.key] for each in (result.panel_exact, result.panel_ticks, result.panel_ticks_strict)]
        table.add_row(metric.title, *(f"{_value(f, metric)} ({f.n})" if f.n else "-" for f in three))
    console.print(table)
    for problem in result.problems:
        console.print(f"  {problem}", style="yellow", markup=False)
    if result.worst_lateness_ms > 100:
        late = f"The callers fell up to {result.worst_lateness_ms:.0f} ms behind: this machine was too busy for exact times."
        console.print(late, style="yellow")


def _show_differences(
    found: Sequence[results.Difference], path: Path, baseline: Mapping[str, Any], console: Console
) -> None:
    beyond = [difference for difference in found if difference.beyond]
    where = f"{path.name} ({baseline.get('at', '?')}, commit {baseline.get('commit') or '?'})"
    console.print(f"Against {where}: {len(beyond)} of {len(found)} figures differ beyond both intervals.", markup=False)
    if not beyond:
        return
    table = Table("family", "figure", "before", "now", "")
    for difference in beyond:
        metric = difference.metric
        table.add_row(
            difference.family,
            metric.title,
            f"{_value(difference.before, metric)} {_interval(difference.before, metric)}",
            f"{_value(difference.now, metric)} {_interval(difference.now, metric)}",
            Text("better", "green") if difference.better else Text("worse", "bold red"),
        )
    console.print(table)


def _write(
    options: BenchOptions,
    result: BenchResult,
    calls: Sequence[CallTimeline],
    body: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
    console: Console,
) -> None:
    if options.json_file is not None:
        results.write_json(body, options.json_file)
        console.print(f"Written to {options.json_file}.", markup=False)
    if options.report is not None:
        from voice_agent.evaluation.turn_taking.page import write_page

        write_page(options.report, result, calls, baseline)
        console.print(f"The page is {options.report}.", markup=False)
    if options.save_baseline:
        results.save_baseline(body)
        console.print(f"The baseline is now this run: {results.BASELINE}.", markup=False)


def _short(figure: Figure, key: str) -> str:
    if not figure.n:
        return ""
    return f"{figure.value:.0f}" if key.endswith(("p50", "p95")) else f"{figure.value:.2f}"


def _value(figure: Figure, metric: Metric) -> str:
    if math.isnan(figure.value):
        return "-"
    return f"{figure.value:.0f} ms" if metric.unit == "ms" else f"{figure.value:.3f}"


def _interval(figure: Figure, metric: Metric) -> str:
    if math.isnan(figure.low):
        return ""
    return f"{figure.low:.0f} to {figure.high:.0f}" if metric.unit == "ms" else f"{figure.low:.2f} to {figure.high:.2f}"
