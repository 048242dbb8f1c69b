"""The local models that do the vendors' work behind the stand-in servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from voice_agent.dev_vendors.deepgram_engine import LocalEngine
from voice_agent.dev_vendors.desk import Engines
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.embedding.minilm import MiniLmEmbedder, default_cache_dir
from voice_agent.providers.llm.builtin import BuiltinLanguageModel
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.tts.local import LocalSynthesizer
from voice_agent.providers.turn.smart_turn import SmartTurnModel
from voice_agent.providers.vad.silero import SileroDetectorFactory


@asynccontextmanager
async def open_engines(
    *, workers: int = 2, progress: Callable[[str], None] = lambda what: None
) -> AsyncIterator[Engines]:
    """Loads everything (some seconds); ``progress`` is told what is being loaded. Raises ``ConfigError``.

    ``workers``: threads that run the models.
    """
    pool = ModelPool(workers)
    try:
        recognizers = LocalRecognizerFactory(pool)
        detectors = SileroDetectorFactory(pool)
        turn_model = SmartTurnModel(pool)
        embedder = MiniLmEmbedder(pool)
        language_model = BuiltinLanguageModel(embedder, cache_dir=default_cache_dir())
        synthesizer = LocalSynthesizer(pool)
        loads: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("speech recognition", recognizers.warm_up),
            ("voice detection", detectors.warm_up),
            ("end of turn", turn_model.warm_up),
            ("meaning", embedder.warm_up),
            ("language model", language_model.warm_up),
            ("speech synthesis", synthesizer.warm_up),
        )
        for what, load in loads:
            progress(what)
            await load()
        yield Engines(recognizers, language_model, synthesizer, LocalEngine(recognizers, detectors, turn_model))
    finally:
        await pool.close()
