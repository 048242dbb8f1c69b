"""Places many duplex calls at a server that runs the script of ``load/``, and says how they went.

The other benchmarks run this in a process of its own. A server is one of ``duplex_server.py`` (this project),
``floor_server.py`` (a bare WebSocket server) and those in ``peers/``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import uvloop
from load.fleet import Load, percentile, run_load
from load.script import speech_folder

# Calls begin over the length of a turn, or more slowly where there are many: callers who do not know each other do not all
# fall silent in the same second.
RAMP_S, RAMP_S_PER_CALL = 5.2, 0.06


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="e.g. ws://127.0.0.1:8000/ws/call")
    parser.add_argument("--calls", type=int, default=1, help="calls at once (default 1)")
    parser.add_argument("--script", default="NNTB", help="N plain, T with the tool, B interrupts (default NNTB)")
    parser.add_argument(
        "--ramp", type=float, default=-1.0, metavar="S", help="calls begin within (default 0.06 a call)"
    )
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="before the first call (default 0)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="", metavar="FILE", help="write everything there as JSON")
    return parser.parse_args()


def recordings() -> list[bytes]:
    if not (speech_folder() / "agent.pcm").exists():
        from load.speech import prepared_speech

        prepared_speech()
    return [path.read_bytes() for path in sorted(speech_folder().glob("caller-*.pcm"))]


def main() -> None:
    args = arguments()
    ramp_s = args.ramp if args.ramp >= 0 else max(RAMP_S if args.calls > 1 else 0.0, RAMP_S_PER_CALL * args.calls)
    load = Load(
        args.url,
        args.calls,
        script=args.script,
        ramp_s=ramp_s,
        wait_s=args.wait,
        seed=args.seed,
        limit_s=args.wait + ramp_s + 12.0 * len(args.script) + 10.0,
    )
    result = uvloop.run(run_load(load, recordings()))
    if args.out:
        Path(args.out).write_text(json.dumps(result))
        return
    lists = {key: values for key, values in result.items() if isinstance(values, list)}
    for key, value in result.items():
        if key not in lists and not key.endswith("_ms"):
            print(f"{key:>16}  {value}")
    for key, values in lists.items():
        if values:
            median, p95, p99 = np.percentile(values, [50, 95, 99])
            print(
                f"{key:>16}  n={len(values)} median {median:.1f}, P95 {p95:.1f}, P99 {p99:.1f}, max {max(values):.1f}"
            )
    for key, unit in (("late_tenths_ms", 0.1), ("client_lag_ms", 1.0)):
        print(f"{key:>16}  P99 {percentile(result[key], 0.99, unit)}, P99.9 {percentile(result[key], 0.999, unit)}")


if __name__ == "__main__":
    main()
