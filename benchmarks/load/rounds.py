"""What the load benchmarks share: pooled figures of several loads, and one table of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from common import console
from rich.table import Table

from load.fleet import percentile

NOISY_CORES = 0.3  # other processes' use of the machine beyond which a row says little

_SUMS = ("admitted", "refused", "dropped", "turns", "missed", "spoken_over", "interruptions", "stalled", "call_minutes")
_LISTS = ("overheads_ms", "tool_overheads_ms", "yields_ms", "refusals_ms")
_HISTOGRAMS = ("late_tenths_ms", "client_lag_ms")
_MEANS = ("server_cores", "cpu_s_per_call_minute", "client_cores", "other_cores", "rss_before_mb", "rss_peak_mb")


def pooled(loads: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One load's figures out of several equal ones."""
    out: dict[str, Any] = {"target": loads[0]["target"], "calls": loads[0]["calls"], "rounds": len(loads)}
    for key in _SUMS:
        out[key] = round(sum(load[key] for load in loads), 4)
    for key in _LISTS:
        out[key] = [value for load in loads for value in load[key]]
    for key in _HISTOGRAMS:
        counts: Counter[str] = Counter()
        for load in loads:
            counts.update(load[key])
        out[key] = dict(counts)
    for key in _MEANS:
        out[key] = round(float(np.mean([load[key] for load in loads])), 3)
    return out


def summarised(load: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a load that go into tables and result files."""
    return {
        **{key: load[key] for key in ("target", "calls", *_SUMS, *_MEANS)},
        "overhead_ms": spread(load["overheads_ms"]),
        "tool_overhead_ms": spread(load["tool_overheads_ms"]),
        "yield_ms": spread(load["yields_ms"]),
        "unyielded": load["interruptions"] - len(load["yields_ms"]),
        "late_p99_ms": rounded(percentile(load["late_tenths_ms"], 0.99, 0.1)),
        "late_p999_ms": rounded(percentile(load["late_tenths_ms"], 0.999, 0.1)),
        "client_lag_p99_ms": percentile(load["client_lag_ms"], 0.99),
        "stalled_share": round(load["stalled"] / max(1, load["turns"] - load["missed"]), 4),
        "rss_per_call_mb": round((load["rss_peak_mb"] - load["rss_before_mb"]) / max(1, load["calls"]), 2),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {"n": 0}
    median, p95, p99 = np.percentile(values, [50, 95, 99])
    return {
        "n": len(values),
        "p50": round(float(median), 1),
        "p95": round(float(p95), 1),
        "p99": round(float(p99), 1),
        "max": round(float(max(values)), 1),
    }


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


_COLUMNS = (
    "server",
    "calls",
    "overhead\nP50/P95/P99",
    "with tool\nP50",
    "barge-in\nP50/P95",
    "late\nP99",
    "stalled",
    "lost\nturns",
    "drop-\nped",
    "CPU-s per\ncall-min",
    "RSS\nMB",
    "MB per\ncall",
    "others'\ncores",
)


def print_loads(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """``rows`` are ``summarised``; milliseconds unless the heading says otherwise."""
    table = Table(title=title, title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column == "server" else "right")
    for row in rows:
        noisy = row["other_cores"] > NOISY_CORES
        table.add_row(
            str(row["target"]),
            str(row["calls"]),
            _shown(row["overhead_ms"], "p50", "p95", "p99"),
            _shown(row["tool_overhead_ms"], "p50"),
            _shown(row["yield_ms"], "p50", "p95"),
            "-" if row["late_p99_ms"] is None else f"{row['late_p99_ms']:.1f}",
            f"{100 * row['stalled_share']:.0f} %",
            str(row["missed"]),
            str(row["dropped"]),
            f"{row['cpu_s_per_call_minute']:.2f}",
            f"{row['rss_peak_mb']:.0f}",
            f"{row['rss_per_call_mb']:.2f}",
            f"[red]{row['other_cores']:.2f}[/]" if noisy else f"{row['other_cores']:.2f}",
        )
    console.print(table)
    if any(row["other_cores"] > NOISY_CORES for row in rows):
        console.print(f"Other processes used more than {NOISY_CORES} cores in the rows marked red.", style="yellow")


def _shown(figures: Mapping[str, float], *keys: str) -> str:
    return "/".join(f"{figures[key]:.0f}" for key in keys) if figures.get("n") else "-"


def progress(row: Mapping[str, Any]) -> None:
    """One line as soon as a load is over."""
    console.print(
        f"{row['target']}, {row['calls']} calls: overhead {_shown(row['overhead_ms'], 'p50', 'p95', 'p99')} ms, "
        f"late P99 {row['late_p99_ms']} ms, {row['cpu_s_per_call_minute']:.2f} CPU-s a call-minute, "
        f"{row['missed']} missed, {row['dropped']} dropped",
        style="dim",
        markup=False,
    )
