"""A soak: a number of calls kept up for a long time, callers who hang up and interrupt, providers that fail.

Each line places one call after another. A call's script, whether its caller hangs up midway and whether that is done without
a word (the connection is cut) are drawn at random. Failed is a call whose end its caller neither brought about nor could
expect: lost, or closed with another code than 1000. Two kinds of calls have not failed and are counted by themselves: those
the platform hands over because a provider is lost (a callback is arranged, the caller is told, code 1000), and those it
refuses as busy, for instance because other programs slow the machine down.
"""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np

from load.call import Call, Outcome, Plan
from load.fleet import Fleet
from load.servers import Server

SAMPLE_EVERY_S = 5.0
HANG_UP_SHARE, RUDE_SHARE = 0.3, 0.5
REDIAL_WITHIN_S = 2.0
SETTLE_S = 20.0
REPORT_EVERY_S = 30.0
_METRIC = "voice_active_sessions"


@dataclass
class Soaked:
    """``rss_mb`` and ``tasks`` are (seconds since the beginning, value)."""

    rss_mb: list[tuple[float, float]] = field(default_factory=list)
    tasks: list[tuple[float, int]] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    faults: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    turns: int = 0
    unanswered: int = 0
    interruptions: int = 0
    idle_tasks: int = 0
    tasks_after: int = -1
    sessions_after: float = -1.0

    def note(self, call: Call) -> None:
        self.calls += 1
        spoken = [turn for turn in call.turns if turn.said_s]
        # The newest turn of a call that ended may just have been asked.
        waited = [turn for turn in spoken if turn is not call.turns[-1] or call.outcome is Outcome.DONE]
        self.turns += len(spoken)
        self.unanswered += sum(turn.answer_s is None for turn in waited)
        self.interruptions += sum(turn.letter == "B" for turn in spoken)
        match call.outcome:
            case Outcome.DONE:
                self.endings["script done"] += 1
            case Outcome.HUNG_UP:
                self.endings["cut by the caller" if call.plan.rude else "hung up by the caller"] += 1
            case Outcome.REFUSED:
                self.endings["refused as busy"] += 1
            case _ if call.ending.startswith("1000"):
                self.endings["handed over"] += 1
            case _:
                self.failures[call.ending] += 1


def random_plan(draw: random.Random) -> Plan:
    letters = ["N"] + [draw.choice("NNTB") for _ in range(draw.randrange(1, 12))]
    hangs_up = draw.random() < HANG_UP_SHARE
    return Plan(
        "".join(letters),
        hang_up_after_s=draw.uniform(0.05, 40.0) if hangs_up else None,
        rude=draw.random() < RUDE_SHARE,
        recording=draw.randrange(100),
    )


async def soak(
    server: Server,
    stats: Path,
    recordings: list[bytes],
    *,
    calls: int,
    seconds: float,
    seed: int,
    say: Callable[[str], None],
) -> Soaked:
    """Keeps ``calls`` lines busy for ``seconds``, then lets the server settle."""
    soaked = Soaked()
    soaked.idle_tasks = await _settled_tasks(stats)
    fleet = Fleet(server.url, recordings, seed=seed)
    fleet.pacer.start()
    begun_s = monotonic()
    end_s = begun_s + seconds

    async def line(number: int) -> None:
        draw = random.Random(seed * 1000 + number)
        await asyncio.sleep(number * 0.1)
        while monotonic() < end_s:
            call = await fleet.place(random_plan(draw))
            fleet.calls.remove(call)
            soaked.note(call)
            await asyncio.sleep(draw.uniform(0.1, REDIAL_WITHIN_S))

    async with asyncio.TaskGroup() as group:
        lines = [group.create_task(line(number)) for number in range(calls)]
        watching = group.create_task(_watch(server, stats, soaked, begun_s, say))
        await asyncio.sleep(seconds)
        for call in list(fleet.calls):
            if call.open:
                call.hang_up()
        await asyncio.wait(lines, timeout=SETTLE_S)
        watching.cancel()
    fleet.pacer.stop()
    await asyncio.sleep(SETTLE_S)
    soaked.tasks_after = await _settled_tasks(stats)
    soaked.sessions_after = await asyncio.to_thread(_active_sessions, server)
    return soaked


async def _watch(server: Server, stats: Path, soaked: Soaked, begun_s: float, say: Callable[[str], None]) -> None:
    said_s = begun_s
    while True:
        at_s = monotonic() - begun_s
        soaked.rss_mb.append((at_s, server.rss_mb()))
        if (row := _stats(stats)) is not None:
            soaked.tasks.append((at_s, row["tasks"]))
            soaked.faults = row["faults"]
        if monotonic() - said_s >= REPORT_EVERY_S:
            said_s = monotonic()
            say(
                f"{at_s / 60:.1f} min: {soaked.calls} calls, {soaked.turns} turns, {sum(soaked.failures.values())} failed, "
                f"{soaked.rss_mb[-1][1]:.0f} MB, {sum(soaked.faults.values())} faults"
            )
        await asyncio.sleep(SAMPLE_EVERY_S)


def _stats(path: Path) -> dict[str, dict[str, int]] | None:
    with suppress(OSError, ValueError):
        row: dict[str, dict[str, int]] = json.loads(path.read_text())
        return row
    return None


async def _settled_tasks(stats: Path) -> int:
    """The lowest number of tasks within a few seconds: a passing request of our own may add one."""
    seen: list[int] = []
    for _ in range(4):
        await asyncio.sleep(1.1)
        if (row := _stats(stats)) is not None:
            seen.append(int(row["tasks"]))
    return min(seen, default=-1)


def _active_sessions(server: Server) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(_METRIC))


def slope_per_10_min(samples: list[tuple[float, float]], warm_up_share: float) -> float:
    """Theil-Sen: the median of the slopes between all pairs of samples after the warm-up."""
    settled = samples[int(len(samples) * warm_up_share) :]
    if len(settled) < 3:
        return float("nan")
    at_s, value = np.array(settled).T
    first, second = np.triu_indices(at_s.size, 1)
    return float(np.median((value[second] - value[first]) / (at_s[second] - at_s[first]))) * 600
