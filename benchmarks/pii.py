"""What masking costs: microseconds for a line of about 200 characters, in four languages; and how the time grows.

`turns` are turns of calls as they are said (pii_lines.yaml), some with personal data: the target is for these. The other
lines string labelled snippets of tests/data together, which is far more numbers than people say at once: `look-alikes` hold
orders, amounts, dates and times, `one value` those and one piece of personal data, `dense` one piece after another. Each
line is timed on its own (the best of some), so P99 is the hard lines, not the machine's hiccups. Hostile text repeats a
piece that a bad pattern would backtrack over: twice the length may take twice the time.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import yaml
from common import console, save
from rich.table import Table
from tests.unit.observability.test_pii import HOSTILE
from tests.unit.observability.test_pii_snippets import Snippet, snippets

from voice_agent.observability.pii import mask, warm_pii

TURNS = Path(__file__).with_name("pii_lines.yaml")
TARGET_US = 100.0
LINE_CHARS = 200


def lines(texts: Sequence[str], *, first: Sequence[str] = ()) -> Iterator[str]:
    """Lines of at least ``LINE_CHARS`` until every text was in one (each of ``first`` leads a line of its own)."""
    endless = itertools.cycle(texts)
    for lead in first or texts[:: max(1, LINE_CHARS // 50)]:
        line = lead
        while len(line) < LINE_CHARS:
            line += ", " + next(endless)
        yield line[:LINE_CHARS].rsplit(" ", 1)[0]


def best_us(text: str, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter_ns()
        mask(text)
        best = min(best, time.perf_counter_ns() - start)
    return best / 1000


def measured(texts: Sequence[str], rounds: int) -> dict[str, float]:
    times = [best_us(text, rounds) for text in texts]
    return {
        "lines": len(times),
        "p50_us": round(float(np.percentile(times, 50)), 1),
        "p99_us": round(float(np.percentile(times, 99)), 1),
        "max_us": round(max(times), 1),
    }


def by_language(everything: Sequence[Snippet], rounds: int) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    spoken = yaml.safe_load(TURNS.read_text("utf-8"))
    whole: dict[str, list[str]] = {"turns": [], "look-alikes": [], "one value": [], "dense": []}
    for locale in dict.fromkeys(snippet.locale for snippet in everything):
        plain = [s.text for s in everything if s.locale == locale and not s.values]
        valued = [s.text for s in everything if s.locale == locale and s.values]
        for name, made in (
            ("turns", spoken[locale]),
            ("look-alikes", lines(plain)),
            ("one value", lines(plain, first=valued)),
            ("dense", lines(valued)),
        ):
            of_locale = list(made)
            whole[name] += of_locale
            rows[f"{locale}, {name}"] = measured(of_locale, rounds)
    return {**{f"all, {name}": measured(texts, rounds) for name, texts in whole.items()}, **rows}


def growth(rounds: int) -> dict[str, dict[str, float]]:
    rows = {}
    for piece in HOSTILE:
        short, long = ((piece * chars)[:chars] for chars in (10_000, 20_000))
        at_10k = best_us(short, rounds)
        rows[piece] = {"ms_10k": round(at_10k / 1000, 2), "times_at_20k": round(best_us(long, rounds) / at_10k, 2)}
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="how often each line is masked; the best counts")
    args = parser.parse_args()
    warm_pii()
    rows = by_language(list(snippets()), args.rounds)
    hostile = growth(3)
    table = Table(title=f"masking a line of {LINE_CHARS} characters (target: {TARGET_US:.0f} µs)", title_justify="left")
    for column in ("language, lines", "lines", "P50 µs", "P99 µs", "max µs"):
        table.add_column(column, justify="left" if column.startswith("language") else "right")
    for name, row in rows.items():
        table.add_row(name, *(f"{row[key]:.0f}" for key in ("lines", "p50_us", "p99_us", "max_us")))
    console.print(table)
    slowest = max(hostile, key=lambda piece: hostile[piece]["ms_10k"])
    steepest = max(hostile, key=lambda piece: hostile[piece]["times_at_20k"])
    console.print(f"hostile, 10,000 characters: at most {hostile[slowest]['ms_10k']} ms ({slowest!r})")
    console.print(
        f"hostile, twice the length: at most {hostile[steepest]['times_at_20k']} times the time ({steepest!r})"
    )
    save("pii", {"rows": rows, "hostile": hostile})
    return 0 if rows["all, turns"]["p99_us"] <= TARGET_US else 1


if __name__ == "__main__":
    raise SystemExit(main())
