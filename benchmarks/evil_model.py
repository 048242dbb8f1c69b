"""A hostile language model against the gate: what becomes of the shop's database, and of honest callers.

Real sessions, machine, vault, journal, router, HTTP client and order system; only ear, voice and language model are scripts
(``evaluation/text_call.py``). Every attack of ``evaluation/adversary/attacks.py`` is played many times, many calls at once,
and the database is compared row by row before and after. Then honest calls change what their callers agreed to.

    .venv/bin/python benchmarks/evil_model.py --calls 2000 --honest 300
"""

from __future__ import annotations

import argparse
import asyncio

from shop.evil_calls import run

from voice_agent.observability.logging import configure_logging


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--honest", type=int, default=300)
    parser.add_argument("--at-once", type=int, default=60)
    options = parser.parse_args()
    pipeline = configure_logging("ERROR")
    try:
        code = asyncio.run(run(options.calls, options.honest, options.at_once))
    finally:
        pipeline.stop()
    raise SystemExit(code)


if __name__ == "__main__":
    main()
