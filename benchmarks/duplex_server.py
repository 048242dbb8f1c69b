"""This project's server with the scripted providers of ``load/``: what a load test calls.

Real: WebSocket door, admission, voice detector, end-of-turn model and rules, barge-in, policy with its sentence embeddings,
tool router, reply, playout, event log, metrics. Scripted: recogniser, language model, synthesiser, the one tool.
It keeps its state in a temporary folder, unless STATE_DIR is set; every other setting comes from the environment, as
always.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from load.providers import (
    Faults,
    Handovers,
    LanguageModel,
    Pins,
    Recognizers,
    ScriptedTurnModel,
    Synthesizer,
    lookup_tool,
)
from load.script import speech_folder

from voice_agent.app import call_settings
from voice_agent.call.services import CallServices
from voice_agent.cli.serve import serve
from voice_agent.clock import LoopClock
from voice_agent.config import Settings, load_settings
from voice_agent.conversation.locales import DEFAULT_LOCALE, resolve_locale
from voice_agent.observability.logging import configure_logging
from voice_agent.providers.embedding.minilm import MiniLmEmbedder, default_cache_dir
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.turn.smart_turn import SmartTurnModel
from voice_agent.providers.understanding.semantic import SemanticUnderstanding
from voice_agent.providers.vad.silero import SileroDetectorFactory
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter


async def run(settings: Settings, args: argparse.Namespace) -> None:
    faults = Faults(args.fault_rate, args.seed)
    async with AsyncExitStack() as stack:
        services = await _services(settings, args, faults, stack)
        if args.stats:
            stats = asyncio.create_task(_write_stats(Path(args.stats), faults), name="stats")
            stack.callback(stats.cancel)
        await serve(settings, lambda url: print("READY", url, flush=True), services=services)


async def _services(
    settings: Settings, args: argparse.Namespace, faults: Faults, stack: AsyncExitStack
) -> CallServices:
    pool = ModelPool(settings.local_models.workers, settings.local_models.queue)
    stack.push_async_callback(pool.close)
    # Callers of a load test repeat each other: without a memory for texts each turn costs what it costs in real calls.
    understanding = SemanticUnderstanding(MiniLmEmbedder(pool, cache_texts=0), cache_dir=default_cache_dir())
    detectors = SileroDetectorFactory(pool)
    turn_model = ScriptedTurnModel() if args.turn_model == "scripted" else SmartTurnModel(pool)
    for part in (understanding, detectors, turn_model):
        await part.warm_up()
    clock = LoopClock()
    tools = ToolRegistry(lookup_tool())
    greeting = frozenset() if args.greeting else frozenset(resolve_locale(DEFAULT_LOCALE).prompts.greeting)
    return CallServices(
        clock=clock,
        recognizers=Recognizers(faults),
        detectors=detectors,
        turn_model=turn_model,
        understanding=understanding,
        language_model=LanguageModel(faults),
        synthesizer=Synthesizer(faults, greeting),
        tools=tools,
        router=ToolRouter(tools, settings.tools, clock),
        pins=Pins(),
        handover=Handovers(),
        settings=call_settings(settings),
    )


async def _write_stats(path: Path, faults: Faults) -> None:
    """What /metrics does not tell: tasks, collections and the faults drawn, once a second."""
    while True:
        row = {"tasks": len(asyncio.all_tasks()), "objects": sum(gc.get_count()), "faults": faults.drawn}
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(row))
        aside.replace(path)
        await asyncio.sleep(1.0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int, help="port of 127.0.0.1 to listen on")
    parser.add_argument("--calls", type=int, default=1000, help="calls admitted at once (default 1000)")
    parser.add_argument(
        "--turn-model",
        choices=("local", "scripted"),
        default="local",
        help="the real end-of-turn model, or an answer after 40 ms without processor time",
    )
    parser.add_argument("--greeting", action="store_true", help="greet callers, as the product does")
    parser.add_argument("--fault-rate", type=float, default=0.0, help="share of provider requests that go wrong")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (default 1)")
    parser.add_argument("--stats", default="", metavar="FILE", help="write tasks and faults there, once a second")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if not (speech_folder() / "agent.pcm").exists():
        from load.speech import prepared_speech

        prepared_speech()
    with tempfile.TemporaryDirectory(prefix="voice-agent-duplex-") as folder:
        defaults = {
            "STATE_DIR": folder,
            "LOG_LEVEL": "WARNING",
            "DEMO_DATA": "false",
            "ENABLE_RAG": "false",
            "MAX_TURNS_PER_SESSION": "100000",
        }
        os.environ.update({name: value for name, value in defaults.items() if name not in os.environ})
        os.environ.update({"HOST": "127.0.0.1", "PORT": str(args.port), "MAX_CALLS": str(args.calls)})
        settings = load_settings(None)
        pipeline = configure_logging(settings.server.log_level, settings.server.log_format)
        try:
            uvloop.run(run(settings, args))
        finally:
            pipeline.stop()


if __name__ == "__main__":
    main()
