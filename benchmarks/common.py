"""What the benchmarks share: the repository on the path, statistics, tables, and result files."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT))  # test callers' voices and servers live in tests/

# Tables need their width in a log file too.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)


def summary(values_ms: Sequence[float]) -> dict[str, float]:
    """Count, median, P95 and maximum, rounded to 0.1 ms."""
    if not values_ms:
        return {"n": 0}
    data = np.asarray(values_ms)
    return {
        "n": len(values_ms),
        "median": round(float(np.median(data)), 1),
        "p95": round(float(np.percentile(data, 95)), 1),
        "max": round(float(data.max()), 1),
    }


def print_summaries(title: str, rows: Mapping[str, Sequence[float]]) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("milliseconds")
    for column in ("n", "median", "P95", "max"):
        table.add_column(column, justify="right")
    for name, values in rows.items():
        figures = summary(values)
        table.add_row(name, *(str(figures.get(key, "-")) for key in ("n", "median", "p95", "max")))
    console.print(table)


def machine() -> dict[str, Any]:
    """Where a result comes from; latencies mean nothing without it."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "cores": os.cpu_count(),
        "load_1min": round(os.getloadavg()[0], 2),
        "processor": _processor(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Writes ``benchmarks/results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"benchmark": name, "machine": machine(), **result}, indent=2) + "\n")
    console.print(f"Written to {path.relative_to(ROOT)}.", style="dim")
    return path
