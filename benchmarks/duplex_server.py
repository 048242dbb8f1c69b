"""This project's server with the scripted providers of ``load/``: what a load test calls.

Real: WebSocket door, admission, voice detector, end-of-turn model and rules, barge-in, policy with its sentence embeddings,
tool router, reply, playout, event log, metrics. Scripted: recogniser, language model, synthesiser, the one tool.
It keeps its state in a temporary folder, unless STATE_DIR is set; every other setting comes from the environment, as
always.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
from pathlib import Path

import uvloop
from load.providers import Faults
from load.script import speech_folder
from load.services import Wishes, scripted_services, services_with

from voice_agent.cli import launch
from voice_agent.cli.serve import serve
from voice_agent.config import Settings, load_settings
from voice_agent.observability.logging import configure_logging

DEFAULTS = {
    "LOG_LEVEL": "WARNING",
    "DEMO_DATA": "false",
    "ENABLE_RAG": "false",
    "MAX_TURNS_PER_SESSION": "100000",
    "ADMISSION_RAMP_CALLS_PER_S": "1000",  # a load begins its calls within seconds
}


def ready(url: str) -> None:
    print("READY", url, flush=True)


async def serve_with_stats(settings: Settings, wanted: Wishes, path: Path) -> None:
    faults = Faults(wanted.fault_rate, wanted.seed)
    services = services_with(settings, wanted, faults)
    stats = asyncio.create_task(_write_stats(path, faults), name="stats")
    try:
        await serve(settings, ready, services=services)
    finally:
        stats.cancel()


async def _write_stats(path: Path, faults: Faults) -> None:
    """What /metrics does not tell, once a second: the number of tasks, and the faults drawn."""
    while True:
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps({"tasks": len(asyncio.all_tasks()), "faults": faults.drawn}))
        aside.replace(path)
        await asyncio.sleep(1.0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int, help="port of 127.0.0.1 to listen on")
    parser.add_argument("--calls", type=int, default=1000, help="calls admitted at once (default 1000)")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the port (default 1)")
    parser.add_argument(
        "--turn-model",
        choices=("local", "scripted"),
        default="local",
        help="the real end-of-turn model, or an answer after 40 ms without processor time",
    )
    parser.add_argument("--greeting", action="store_true", help="greet callers, as the product does")
    parser.add_argument("--fault-rate", type=float, default=0.0, help="share of provider requests that go wrong")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (default 1)")
    parser.add_argument("--stats", default="", metavar="FILE", help="write tasks and faults there (one worker only)")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if not (speech_folder() / "agent.pcm").exists():
        from load.speech import prepared_speech

        prepared_speech()
    wanted = Wishes(args.turn_model, args.greeting, args.fault_rate, args.seed)
    wanted.publish()
    with tempfile.TemporaryDirectory(prefix="voice-agent-duplex-") as folder:
        os.environ.update({name: value for name, value in DEFAULTS.items() if name not in os.environ})
        os.environ.setdefault("STATE_DIR", folder)
        given = {"HOST": "127.0.0.1", "PORT": args.port, "MAX_CALLS": args.calls, "WORKERS": args.workers}
        os.environ.update({name: str(value) for name, value in given.items()})
        settings = load_settings(None)
        pipeline = configure_logging(settings.server.log_level, settings.server.log_format)
        try:
            if args.stats:
                uvloop.run(serve_with_stats(settings, wanted, Path(args.stats)))
            else:
                launch.run(settings, ready, make_services=scripted_services)
        finally:
            pipeline.stop()


if __name__ == "__main__":
    main()
