"""What the platform adds to a turn: the time to the first audio of an answer, less the delays that the script fixes.

Last frame of the caller's speech written -> first audio of the answer, less 400 ms (recogniser 100, model 200, synthesis
100). About 50 ms of what is left is the script's own: the first sentence takes that long to write. So the figure that
counts is the difference to the bare server, which does nothing but run the script; it runs in turns with ours, in the same
minutes, at each level. With --peers the same is done to Pipecat and LiveKit (their levels: 1 and 5 calls).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import console, save
from load.rounds import pooled, print_loads, progress, summarised
from load.servers import Server, floor, load, ours, peers, running

TARGET_P50_MS, TARGET_P99_MS = 5.0, 20.0
PEER_LEVEL = 5  # what each of them still holds as shipped


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", default="1,50", help="calls at once (default 1,50)")
    parser.add_argument("--rounds", type=int, default=2, help="how often each server has its turn (default 2)")
    parser.add_argument("--turns", type=int, default=160, help="turns a round at most over all calls (default 160)")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="measure those of peers/setup.py DIR beside")
    parser.add_argument("--turn-model", choices=("local", "scripted"), default="local", help="of our server")
    return parser.parse_args()


def script(calls: int, turns: int) -> str:
    """Plain and tool turns, as many as ``turns`` allow: 3 to 9 a call."""
    length = max(3, min(9, turns // calls))
    return ("NNT" * 3)[:length]


def main() -> int:
    args = arguments()
    levels = [int(level) for level in args.levels.split(",")]
    loads: dict[tuple[str, int], list[dict[str, Any]]] = {}
    starts: dict[str, float] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voice-agent-overhead-")))
        servers: list[Server] = []
        for target in (floor(), ours("--turn-model", args.turn_model), *(peers(args.peers) if args.peers else ())):
            server = stack.enter_context(running(target, folder))
            starts[target.name] = round(server.start_s, 2)
            console.print(f"{target.name} took {server.start_s:.2f} s to start", style="dim")
            load(server, 1, script="N")  # what only the first call pays
            servers.append(server)
        for level in levels:
            for number in range(args.rounds):
                for server in servers:
                    compared = server.target.name not in ("floor", "ours")
                    calls = min(level, PEER_LEVEL) if compared else level
                    if compared and level > PEER_LEVEL and PEER_LEVEL in levels:
                        continue
                    options = ("--seed", str(number + 1))
                    row = load(server, calls, *options, script=script(calls, args.turns))
                    loads.setdefault((server.target.name, calls), []).append(row)
                    progress(summarised(row))
    return report(loads, levels, starts)


def report(loads: dict[tuple[str, int], list[dict[str, Any]]], levels: list[int], starts: dict[str, float]) -> int:
    rows = {key: summarised(pooled(rounds)) for key, rounds in loads.items()}
    print_loads("Overhead of a turn (ms over the script's 400; 650 with the tool)", list(rows.values()))
    above: dict[str, dict[str, float]] = {}
    met = True
    for level in levels:
        base, own = rows["floor", level]["overhead_ms"], rows["ours", level]["overhead_ms"]
        above[str(level)] = {key: round(own[key] - base[key], 1) for key in ("p50", "p95", "p99")}
        good = above[str(level)]["p50"] <= TARGET_P50_MS and above[str(level)]["p99"] <= TARGET_P99_MS
        met = met and good
        shown = ", ".join(f"{key.upper()} {value:+.1f}" for key, value in above[str(level)].items())
        console.print(f"Above the floor at {level} calls: {shown} ms", style="green" if good else "bold red")
    console.print(
        f"Target (P50 at most {TARGET_P50_MS:g}, P99 at most {TARGET_P99_MS:g} ms above): {'met' if met else 'MISSED'}",
        style="green" if met else "bold red",
    )
    save("overhead", {"above_floor_ms": above, "start_s": starts, "rows": list(rows.values()), "met": met})
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
