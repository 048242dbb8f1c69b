"""Does the server grow, leak or fail over time? One long call on local models, or many calls on scripted providers.

One call (the default): a caller asks one question after another in real time; the server process's resident memory is
sampled meanwhile. The slope is the median of the slopes between all pairs of samples in the second half (Theil-Sen): model
runtimes keep the memory of the largest input they have seen, so memory rises in steps at first, and single decodes show as
spikes.

Many calls (``--calls 60``): so many lines are kept busy with short calls whose callers hang up and interrupt at random,
while a share of the providers' requests fails at once, hangs, or dies half-way. No call may fail, memory may grow by 1 MB
in 10 minutes (the first third is the warm-up), and afterwards sessions and tasks must be back where they began.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import uvloop
from common import console, save
from load.servers import ours, running
from load.soaking import Soaked, slope_per_10_min
from load.soaking import soak as soak_lines
from load_calls import recordings
from rich.table import Table
from tests.servers import RunningServer, running_server
from tests.speech import VOICES, synthesise
from voice_to_voice import QUESTIONS

from voice_agent.errors import CallError
from voice_agent.evaluation.caller import CallOptions, SimulatedCaller

SAMPLE_EVERY_S = 5.0
WARM_UP_SHARE = 0.5
SLOPE_MAX_MB_PER_MIN = 0.2
MANY_WARM_UP_SHARE = 1 / 3
MANY_SLOPE_MAX_MB = 1.0
MB = 1e6


@dataclass
class Samples:
    """(minutes since the call began, megabytes resident, threads, open files), and what the call went through."""

    rows: list[tuple[float, float, int, int]] = field(default_factory=list)
    turns: int = 0
    unanswered: int = 0
    ended_early: str = ""


async def soak(server: RunningServer, minutes: float) -> Samples:
    samples = Samples()
    # The caller keeps its half of the call in memory; only the server's process is measured.
    options = CallOptions(caller_id="+15550100")
    async with SimulatedCaller(server.url, options) as caller, asyncio.TaskGroup() as group:
        watching = group.create_task(_watch(caller, server.pid, samples))
        end_s = caller.started_s + minutes * 60
        with suppress(CallError):
            await caller.wait_for_agent_to_finish(timeout_s=30)
        while caller.now() < end_s and caller.closed is None:
            text = QUESTIONS[samples.turns % 6]  # the first six need no PIN
            pcm = synthesise(text, VOICES[samples.turns % len(VOICES)], rate_hz=16_000)[0]
            samples.turns += 1
            try:
                await caller.say(pcm)
                await caller.wait_for_agent_to_finish(timeout_s=30)
            except CallError as error:
                samples.unanswered += 1
                console.print(f"turn {samples.turns}: {error}", markup=False)
        if caller.closed is not None and caller.now() < end_s:
            samples.ended_early = f"{caller.closed.code} {caller.closed.reason}"
        watching.cancel()
    return samples


async def _watch(caller: SimulatedCaller, pid: int, samples: Samples) -> None:
    process = psutil.Process(pid)
    while True:
        minute = (caller.now() - caller.started_s) / 60
        samples.rows.append((minute, process.memory_info().rss / MB, process.num_threads(), process.num_fds()))
        await asyncio.sleep(SAMPLE_EVERY_S)


def slope_mb_per_min(rows: list[tuple[float, float, int, int]]) -> float:
    settled = rows[int(len(rows) * WARM_UP_SHARE) :]
    if len(settled) < 3:
        return float("nan")
    minutes, megabytes = np.array([r[0] for r in settled]), np.array([r[1] for r in settled])
    first, second = np.triu_indices(minutes.size, 1)
    return float(np.median((megabytes[second] - megabytes[first]) / (minutes[second] - minutes[first])))


def soak_many(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="voice-agent-soak-") as name:
        folder = Path(name)
        stats = folder / "stats.json"
        options = ("--stats", str(stats), "--fault-rate", str(args.fault_rate), "--seed", str(args.seed), "--greeting")
        with running(ours(*options), folder) as server:
            console.print(f"{args.calls} calls kept up for {args.minutes:g} minutes ...", style="dim")
            soaked = uvloop.run(
                soak_lines(
                    server,
                    stats,
                    recordings(),
                    calls=args.calls,
                    seconds=args.minutes * 60,
                    seed=args.seed,
                    say=lambda line: console.print(line, style="dim"),
                )
            )
            errors = [line for line in server.log.read_text(errors="replace").splitlines() if "[error" in line]
    return report_many(soaked, args, errors)


def report_many(soaked: Soaked, args: argparse.Namespace, errors: list[str]) -> int:
    slope = slope_per_10_min(soaked.rss_mb, MANY_WARM_UP_SHARE)
    failed = sum(soaked.failures.values())
    table = Table(title=f"{args.calls} calls kept up for {args.minutes:g} minutes", title_justify="left")
    for column in ("minute", "RSS (MB)", "tasks"):
        table.add_column(column, justify="right")
    tasks = dict(soaked.tasks)
    for at_s, megabytes in soaked.rss_mb[:: max(1, len(soaked.rss_mb) // 15)]:
        table.add_row(f"{at_s / 60:.1f}", f"{megabytes:.1f}", str(tasks.get(at_s, "-")))
    console.print(table)
    console.print(f"{soaked.calls} calls, {soaked.turns} turns, {soaked.interruptions} interruptions; {soaked.faults}")
    console.print(f"endings: {dict(soaked.endings)}; turns without any answer: {soaked.unanswered}")
    for why, count in [*soaked.failures.items(), *Counter(line[:140] for line in errors).most_common(5)]:
        console.print(f"  {count} x {why}", style="bold red", markup=False)
    checks = {
        "no failed call": failed == 0,
        f"memory: at most {MANY_SLOPE_MAX_MB:g} MB in 10 minutes, is {slope:+.2f}": bool(slope <= MANY_SLOPE_MAX_MB),
        f"tasks back to {soaked.idle_tasks}, are {soaked.tasks_after}": soaked.tasks_after <= soaked.idle_tasks,
        "no active session is left": soaked.sessions_after == 0,
    }
    for what, good in checks.items():
        console.print(f"Target ({what}): {'met' if good else 'MISSED'}", style="green" if good else "bold red")
    met = all(checks.values())
    save(
        "soak_calls",
        {
            "calls_at_once": args.calls,
            "minutes": args.minutes,
            "fault_rate": args.fault_rate,
            "calls": soaked.calls,
            "turns": soaked.turns,
            "interruptions": soaked.interruptions,
            "unanswered": soaked.unanswered,
            "endings": soaked.endings,
            "failures": soaked.failures,
            "faults": soaked.faults,
            "logged_errors": len(errors),
            "slope_mb_per_10_min": None if np.isnan(slope) else round(slope, 3),
            "rss_mb": [[round(at_s / 60, 2), round(megabytes, 1)] for at_s, megabytes in soaked.rss_mb],
            "tasks": {"idle": soaked.idle_tasks, "after": soaked.tasks_after},
            "sessions_after": soaked.sessions_after,
            "checks": checks,
            "met": met,
        },
    )
    return 0 if met else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the soak (default 30)")
    parser.add_argument(
        "--calls", type=int, default=1, help="1: one long call, local models; more: see above (default 1)"
    )
    parser.add_argument("--fault-rate", type=float, default=0.02, help="many calls: share of requests (default 0.02)")
    parser.add_argument("--seed", type=int, default=1, help="many calls: of what is drawn at random (default 1)")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    if args.calls > 1:
        return soak_many(args)
    settings = {
        "MAX_TURNS_PER_SESSION": "100000",
        "SESSION_TTL_SECONDS": str(args.minutes * 60 + 600),
        "LOG_LEVEL": "WARNING",
    }
    with (
        tempfile.TemporaryDirectory(prefix="voice-agent-soak-") as folder,
        running_server(Path(folder), settings) as server,
    ):
        console.print(f"One call of {args.minutes:g} minutes ...", style="dim")
        samples = asyncio.run(soak(server, args.minutes))
    return report(samples, args.minutes)


def report(samples: Samples, minutes: float) -> int:
    table = Table(title="Server memory during one call", title_justify="left")
    for column in ("minute", "RSS (MB)", "threads", "open files"):
        table.add_column(column, justify="right")
    every = max(1, len(samples.rows) // 15)
    for minute, megabytes, threads, files in samples.rows[::every]:
        table.add_row(f"{minute:.1f}", f"{megabytes:.1f}", str(threads), str(files))
    console.print(table)
    slope = slope_mb_per_min(samples.rows)
    grown = bool(slope > SLOPE_MAX_MB_PER_MIN)
    console.print(f"{samples.turns} turns, {samples.unanswered} unanswered; slope {slope:+.3f} MB a minute")
    met = not grown and not samples.ended_early and not np.isnan(slope)
    if samples.ended_early:
        console.print(f"the call ended early: {samples.ended_early}", style="bold red", markup=False)
    console.print(
        f"Target (at most {SLOPE_MAX_MB_PER_MIN:g} MB a minute after warm-up): {'met' if met else 'MISSED'}",
        style="green" if met else "bold red",
    )
    save(
        "soak",
        {
            "minutes": minutes,
            "turns": samples.turns,
            "unanswered": samples.unanswered,
            "ended_early": samples.ended_early,
            "slope_mb_per_min": None if np.isnan(slope) else round(slope, 4),
            "rss_mb": [[round(row[0], 2), round(row[1], 2)] for row in samples.rows],
            "met": met,
        },
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
