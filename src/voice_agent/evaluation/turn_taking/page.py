"""The run as one self-contained page: tables, plots as inline SVG, and what went wrong, act by act."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voice_agent.errors import ConfigError
from voice_agent.evaluation.turn_taking import result as results
from voice_agent.evaluation.turn_taking.bootstrap import Figure
from voice_agent.evaluation.turn_taking.measures import Outcome
from voice_agent.evaluation.turn_taking.plots import Interval, call_timeline, curve_plot, interval_plot, latency_plot
from voice_agent.evaluation.turn_taking.result import ALL, BenchResult
from voice_agent.evaluation.turn_taking.summary import CURVE_METRICS, METRIC, METRICS, PANEL, Metric
from voice_agent.evaluation.turn_taking.timeline import CallTimeline, Kind

_STYLE = """
:root { --ink: #1d2630; --soft: #5d6b78; --line: #d9dfe5; --paper: #fff;
  --a: #1668b8; --b: #c2571a; --c: #2c8a57; --d: #8a8f96; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9aa7b3; --line: #36414b; --paper: #12181e;
  --a: #6cb0f0; --b: #f0a06c; --c: #72cf9c; --d: #7d8790; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } p.note { color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .5rem; text-align: right; } th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; } .wide { overflow-x: auto; } .bad { color: var(--b); }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .soft { fill: var(--soft); } details { margin: .4rem 0; }
"""


def write_page(
    path: Path, result: BenchResult, calls: Sequence[CallTimeline], baseline: Mapping[str, Any] | None
) -> None:
    """Raises ``ConfigError`` where the file cannot be written."""
    try:
        path.write_text(page(result, calls, baseline), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--report {path} cannot be written: {error.strerror}") from None


def page(result: BenchResult, calls: Sequence[CallTimeline], baseline: Mapping[str, Any] | None) -> str:
    """The page's HTML. ``baseline``: a result to stand beside this one."""
    settings = result.settings
    about = (
        f"{len(result.outcomes)} acts in {len(calls)} calls; seed {settings.seed}, {settings.parallel} calls at once"
        f"{', quick' if settings.quick else ''}{'' if settings.human_recordings else ', without human recordings'}."
    )
    parts = [
        "<h1>Turn-taking</h1>",
        f'<p class="note">{_text(about)} Intervals are 95 %, by bootstrap over trials.</p>',
        "<h2>All calls</h2>",
        _overall(result, baseline),
        "<h2>By family</h2>",
        _families(result),
        "<h2>How soon the agent answers</h2>",
        latency_plot(_latencies(result.outcomes)),
        "<h2>Yielding, and letting pass</h2>",
        interval_plot(list(_shares(result, baseline))),
    ]
    if result.curve is not None:
        at = results.curve_figures(result.curve)
        cut_offs, delay = (_plain(at[metric.key], metric) for metric in CURVE_METRICS)
        parts += [
            "<h2>Cut-offs against delay</h2>",
            f'<p class="note">Every wait scaled, decided anew from the event logs of {result.curve.turns} turns. '
            f"False cut-offs at 300 ms: {cut_offs}; end-of-turn delay at 5 % cut-offs: {delay}. "
            "Dashed: a fixed silence on the same turns.</p>",
            curve_plot(result.curve),
        ]
    parts += ["<h2>The eight measures of tau-bench's voice panel</h2>", _panel(result)]
    parts += ["<h2>What went wrong</h2>", _wrong(result, calls)]
    body = "\n".join(parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Turn-taking</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>{body}</body></html>\n'
    )


def failed(outcome: Outcome) -> str:
    """What is wrong with an outcome, in words; empty where nothing is."""
    if outcome.void:
        return ""
    if outcome.cut_off:
        return "cut off"
    if outcome.yielded is False:
        return "the agent spoke on"
    if outcome.passed is False:
        return "stopped the agent" if outcome.over_agent else "was answered"
    if outcome.answered is False:
        return "no answer"
    return ""


def _overall(result: BenchResult, baseline: Mapping[str, Any] | None) -> str:
    before = (baseline or {}).get("families", {}).get(ALL, {})
    rows = [(metric, result.families[ALL][metric.key], before.get(metric.key)) for metric in METRICS]
    if result.curve is not None:
        curve = results.curve_figures(result.curve)
        old = (baseline or {}).get("curve") or {}
        rows += [(metric, curve[metric.key], old.get(metric.key)) for metric in CURVE_METRICS]
    cells = [
        (metric.title, _number(figure.value, metric), _span(figure, metric), str(figure.n), _old(was, metric))
        for metric, figure, was in rows
        if figure.n
    ]
    return _table(("figure", "value", "interval", "n", "baseline"), cells)


def _families(result: BenchResult) -> str:
    keys = [key for key in METRIC if any(some[key].n for some in result.families.values())]
    rows = [
        (family, *(_number(some[key].value, METRIC[key]) if some[key].n else "" for key in keys))
        for family, some in result.families.items()
    ]
    return _table(("family", *(METRIC[key].title for key in keys)), rows)


def _panel(result: BenchResult) -> str:
    three = (result.panel_exact, result.panel_ticks, result.panel_ticks_strict)
    rows = [
        (metric.title, *(f"{_number(some[metric.key].value, metric)} ({some[metric.key].n})" for some in three))
        for metric in PANEL
    ]
    return _table(("measure", "exactly", "on 200 ms ticks", "ticks, any pause a stop"), rows)


def _wrong(result: BenchResult, calls: Sequence[CallTimeline]) -> str:
    by_call: dict[str, list[Outcome]] = {}
    for outcome in result.outcomes:
        if failed(outcome):
            by_call.setdefault(outcome.call, []).append(outcome)
    if not by_call:
        return "<p>Nothing.</p>"
    out: list[str] = []
    for call in calls:
        wrong = by_call.get(call.name, [])
        inside = [outcome for outcome in wrong if outcome.at_s <= call.ends_s]
        if not inside:
            continue
        lines = "".join(
            f"<li>{outcome.at_s:.1f} s, {_text(outcome.kind.value)}: “{_text(outcome.label)}” "
            f'({_text(outcome.variant)}): <span class="bad">{_text(failed(outcome))}</span></li>'
            for outcome in inside
        )
        out.append(
            f"<details><summary>{_text(call.name)}: {len(inside)} (call {_text(call.call_id[:8])})</summary>"
            f"<ul>{lines}</ul>{call_timeline(call)}</details>"
        )
    return "".join(out)


def _latencies(outcomes: Iterable[Outcome]) -> dict[str, list[float]]:
    groups: dict[str, list[float]] = {}
    for outcome in outcomes:
        if outcome.kind is Kind.TURN and outcome.latency_s is not None and not outcome.void:
            groups.setdefault(outcome.family, []).append(1e3 * outcome.latency_s)
    return groups


def _shares(result: BenchResult, baseline: Mapping[str, Any] | None) -> Iterable[Interval]:
    before = (baseline or {}).get("families", {}).get(ALL, {})
    for metric in METRICS:
        figure = result.families[ALL][metric.key]
        if metric.unit == "share" and figure.n:
            was = before.get(metric.key)
            yield Interval(metric.title, figure.value, figure.low, figure.high, None if was is None else was["value"])


def _number(value: float, metric: Metric) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.0f} ms" if metric.unit == "ms" else f"{value:.3f}"


def _span(figure: Figure, metric: Metric) -> str:
    return "" if math.isnan(figure.low) else f"{_number(figure.low, metric)} to {_number(figure.high, metric)}"


def _plain(figure: Figure, metric: Metric) -> str:
    return f"{_number(figure.value, metric)} ({_span(figure, metric)})" if figure.n else "not reached"


def _old(was: Mapping[str, Any] | None, metric: Metric) -> str:
    return "" if was is None else _number(float(was["value"]), metric)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{_text(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _text(text: str) -> str:
    return html.escape(text)
