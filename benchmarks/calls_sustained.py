"""How many duplex calls a server sustains, what each costs, and what happens beyond.

Each server climbs its ladder of levels until one is not sustained. Sustained means, for every server alike: no call
dropped, no turn without an answer, at most 5 % of the answers with a stall at a jitter buffer of 60 ms, and the P95 of the
overhead within 500 ms of the floor's own. For this project the levels are also held against its own promise: P99 of
outbound frames at most 20 ms late, no stall at all, P95 overhead at most 50 ms above the floor's.

Last comes the overload: this server, admitting as many calls as it sustains, is offered three times as many.

Client and servers share the machine, one server at a time is under load; a row in which other processes used more than
0.3 cores says little. About 5 minutes; with --peers about 12.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import console, save
from load.rounds import print_loads, progress, spread, summarised
from load.servers import Target, floor, load, ours, peers, running

SUSTAINED_P95_MS, SUSTAINED_STALLED = 500.0, 0.05
PROMISED_LATE_P99_MS, PROMISED_P95_MS = 20.0, 50.0
PROMISED_CALLS, PROMISED_CPU_S = 100, 0.8
PROMISED_RATIOS = {"Pipecat, as shipped": 12, "LiveKit, leanest": 4}
REFUSED_WITHIN_MS, OVERLOAD_SHARE, OVERLOAD_GRAIN_MS = 50.0, 1.2, 2.0
OVERLOAD_TIMES = 3
OFFERED_OVER_S = 20.0
BEGIN_S_PER_CALL = 0.06

LADDERS = {
    "floor": (100, 200),
    "Pipecat, as shipped": (5, 8, 10, 12, 14),
    "Pipecat, leanest": (10, 14, 18, 22),
    "LiveKit, as shipped": (3, 5, 7, 10),
    "LiveKit, leanest": (15, 20, 25, 30),
}
PEERS = tuple(name for name in LADDERS if name != "floor")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", default="50,100,125,150", help="our ladder (default 50,100,125,150)")
    parser.add_argument("--script", default="NTNB", help="N plain, T with the tool, B interrupts (default NTNB)")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="measure those of peers/setup.py DIR too")
    parser.add_argument(
        "--only", action="append", metavar="PEER", choices=list(PEERS), help="this peer; may be repeated"
    )
    parser.add_argument("--turn-model", choices=("local", "scripted"), default="local", help="of our server")
    parser.add_argument("--workers", type=int, default=0, help="processes of our server; 0: one, without a supervisor")
    parser.add_argument("--capacity", type=int, default=0, help="for the overload; 0: what was found to be sustained")
    parser.add_argument("--no-overload", action="store_true", help="leave the overload out")
    return parser.parse_args()


def sustained(row: dict[str, Any], floor_p95_ms: float) -> str:
    """Empty where the level was sustained, else why not."""
    if row["dropped"]:
        return f"{row['dropped']} calls dropped"
    if row["refused"]:
        return f"{row['refused']} calls refused"
    if row["missed"]:
        return f"{row['missed']} turns without an answer"
    if row["stalled_share"] > SUSTAINED_STALLED:
        return f"{100 * row['stalled_share']:.0f} % of the answers stalled"
    p95_ms = row["overhead_ms"].get("p95", float("inf"))
    if p95_ms - floor_p95_ms > SUSTAINED_P95_MS:
        return f"P95 overhead {p95_ms:.0f} ms"
    return ""


def promise(row: dict[str, Any], floor_p95_ms: float) -> str:
    """Empty where the level keeps this project's own, stricter promise, else why not."""
    if broken := sustained(row, floor_p95_ms):
        return broken
    late_ms = row["late_p99_ms"] or 0.0
    if late_ms > PROMISED_LATE_P99_MS:
        return f"P99 of frames {late_ms:.0f} ms late"
    if row["stalled"]:
        return f"{row['stalled']} answers stalled"
    above_ms = row["overhead_ms"]["p95"] - floor_p95_ms
    return f"P95 overhead {above_ms:.0f} ms above the floor" if above_ms > PROMISED_P95_MS else ""


def climb(target: Target, levels: tuple[int, ...], script: str, floor_p95_ms: float, folder: Path) -> dict[str, Any]:
    """Rows up to the first level that is not sustained, and the highest one that was."""
    out: dict[str, Any] = {"rows": [], "sustained": 0, "promised": 0, "broken_by": ""}
    with running(target, folder) as server:
        out["start_s"] = round(server.start_s, 2)
        out["first_turn_overhead_ms"] = spread(load(server, 1, script="N")["overheads_ms"]).get("max")
        kept = True
        for level in levels:
            row = summarised(load(server, level, script=script))
            out["rows"].append(row)
            progress(row)
            out["broken_by"] = sustained(row, floor_p95_ms)
            if out["broken_by"]:
                break
            out["sustained"] = level
            kept = kept and not promise(row, floor_p95_ms)
            out["promised"] = level if kept else out["promised"]
    return out


def overload(target: Target, capacity: int, script: str, folder: Path) -> dict[str, Any]:
    """Full, then full with twice as many again offered while the admitted calls run, by a client of their own."""
    bounded = Target(target.name, target.command, (*target.options, "--calls", str(capacity)), target.query)
    long = script * 2
    begin_s = max(6.0, BEGIN_S_PER_CALL * capacity)
    begin = ("--ramp", str(begin_s))
    more = ("--calls", str((OVERLOAD_TIMES - 1) * capacity), "--wait", str(begin_s + 1), "--ramp", str(OFFERED_OVER_S))
    with running(bounded, folder) as server:
        load(server, 1, script="N")
        before = summarised(load(server, capacity, *begin, script=long))
        progress(before)
        raw = load(server, capacity, *begin, script=long, beside=more)
        during = summarised(raw)
        progress(during)
    before_ms, during_ms = before["overhead_ms"]["p99"], during["overhead_ms"]["p99"]
    refusals = spread(raw["beside"]["refusals_ms"])
    kept = during_ms <= max(before_ms * OVERLOAD_SHARE, before_ms + OVERLOAD_GRAIN_MS)
    quick = bool(refusals["n"]) and refusals["p99"] <= REFUSED_WITHIN_MS
    return {
        "capacity": capacity,
        "offered": OVERLOAD_TIMES * capacity,
        "admitted": raw["admitted"] + raw["beside"]["admitted"],
        "refusal_ms": refusals,
        "p99_before_ms": before_ms,
        "p99_during_ms": during_ms,
        "rows": [before, during],
        "met": kept and quick and not during["dropped"] and not during["missed"],
    }


def main() -> int:
    args = arguments()
    options = ["--turn-model", args.turn_model, *(["--workers", str(args.workers)] if args.workers else [])]
    own = ours(*options)
    ladders: list[tuple[Target, tuple[int, ...]]] = [(floor(), LADDERS["floor"])]
    ladders.append((own, tuple(int(level) for level in args.levels.split(","))))
    wanted = args.only or PEERS
    found_peers = peers(args.peers) if args.peers else ()
    ladders += [(peer, LADDERS[peer.name]) for peer in found_peers if peer.name in wanted]
    found: dict[str, dict[str, Any]] = {}
    floor_p95_ms = 0.0
    with tempfile.TemporaryDirectory(prefix="voice-agent-sustained-") as name:
        folder = Path(name)
        for target, levels in ladders:
            found[target.name] = climb(target, levels, args.script, floor_p95_ms, folder)
            if target.name == "floor":
                floor_p95_ms = found["floor"]["rows"][0]["overhead_ms"]["p95"]
        capacity = args.capacity or found["ours"]["promised"] or found["ours"]["sustained"]
        beyond = overload(own, capacity, args.script, folder) if capacity and not args.no_overload else None
    return report(found, beyond, floor_p95_ms)


def report(found: dict[str, dict[str, Any]], beyond: dict[str, Any] | None, floor_p95_ms: float) -> int:
    print_loads("Duplex calls in real time (ms, unless said otherwise)", [r for f in found.values() for r in f["rows"]])
    for name, result in found.items():
        beyond_it = f"; then {result['broken_by']}" if result["broken_by"] else " (the ladder's end)"
        first = f"the first turn's overhead is {result['first_turn_overhead_ms']:.0f} ms"
        console.print(
            f"{name}: sustains {result['sustained']} calls{beyond_it}; starts in {result['start_s']:.1f} s, {first}"
        )
    own = found["ours"]
    at_level = next((row for row in own["rows"] if row["calls"] == PROMISED_CALLS), None)
    checks = {f"{PROMISED_CALLS} calls keep every limit": own["promised"] >= PROMISED_CALLS}
    if at_level is not None:
        checks[f"at most {PROMISED_CPU_S} CPU-s a call-minute"] = at_level["cpu_s_per_call_minute"] <= PROMISED_CPU_S
    for peer, times in PROMISED_RATIOS.items():
        if peer in found:
            checks[f"{times} x the calls of {peer}"] = own["promised"] >= times * found[peer]["sustained"]
    if beyond is not None:
        print_loads("Overload: full, then full with twice as many again offered", beyond["rows"])
        console.print(
            f"Overload: {beyond['offered']} calls offered to {beyond['capacity']} places, {beyond['admitted']} admitted; "
            f"refused in P50 {beyond['refusal_ms'].get('p50')}, P99 {beyond['refusal_ms'].get('p99')} ms; P99 overhead of "
            f"those admitted {beyond['p99_before_ms']} ms before, {beyond['p99_during_ms']} ms meanwhile"
        )
        checks["overload: refused at once, the admitted unharmed"] = beyond["met"]
    for row in own["rows"]:
        if why := promise(row, floor_p95_ms):
            console.print(f"ours, {row['calls']} calls, against its own limits: {why}", style="yellow")
    for what, good in checks.items():
        console.print(f"Target ({what}): {'met' if good else 'MISSED'}", style="green" if good else "bold red")
    met = all(checks.values())
    save("calls_sustained", {"servers": found, "overload": beyond, "checks": checks, "met": met})
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
