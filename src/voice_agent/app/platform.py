"""The whole server: services, doors and what runs beside calls, opened together and taken down in reverse."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from voice_agent.agents.book import AgentBook
from voice_agent.app.calls import AgentReaders, CallOpener
from voice_agent.app.services import local_services
from voice_agent.app.settings import overload_settings, secret_lengths
from voice_agent.app.stores import agents_of
from voice_agent.call.phrases import FixedPhrases
from voice_agent.call.services import CallServices
from voice_agent.clock import Clock, LoopClock
from voice_agent.config import Settings
from voice_agent.conversation.locales import LocaleProfile
from voice_agent.errors import ProviderError
from voice_agent.gateway.admission import Admission
from voice_agent.gateway.busy import BusyClip
from voice_agent.gateway.load_watch import watch_load
from voice_agent.gateway.overload import OverloadGuard
from voice_agent.gateway.websocket import StreamingGateway
from voice_agent.observability.event_file import EventFileWriter
from voice_agent.observability.garbage import collect_when_quiet, freeze_what_lives
from voice_agent.observability.metrics import CallMetrics
from voice_agent.providers.tts.cache import CachingSynthesizer
from voice_agent.rag.pipeline import KnowledgeBase
from voice_agent.store.database import Database, open_database

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything a running server shares; its parts are warm."""

    settings: Settings
    clock: Clock
    services: CallServices
    database: Database
    knowledge: KnowledgeBase | None
    agents: AgentBook
    metrics: CallMetrics
    event_files: EventFileWriter
    admission: Admission
    gateway: StreamingGateway
    busy_clip: BusyClip | None


@asynccontextmanager
async def open_platform(
    settings: Settings,
    *,
    services: CallServices | None = None,
    shop_up: Callable[[], Coroutine[Any, Any, None]] | None = None,
    lenient: bool = False,
) -> AsyncIterator[Platform]:
    """Builds and warms everything, and takes it down again in reverse. Raises ``ConfigError``.

    ``services`` replaces what calls work with (benchmarks bring scripted providers). ``shop_up`` returns once the order
    system that is starting beside the platform can be asked; what it raises ends the start. ``lenient``: agent files that
    are wrong are left out (see ``open_agents``).
    """
    clock = LoopClock()
    state_dir = settings.server.state_dir
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        agents = await asyncio.to_thread(agents_of, settings, lenient=lenient)
        usual = agents.default.locale(agents.default.locale_tag("", settings.asr.language))
        database = await stack.enter_async_context(open_database(settings.store, state_dir))
        knowledge = None
        if services is None:
            services, knowledge = await local_services(settings, clock, database, usual, stack, shop_up)
        metrics = CallMetrics(tool_names=[tool.name for tool in services.tools])
        metrics.capacity.set(settings.server.max_calls)
        metrics.target_turn_latency.set(settings.monitoring.target_turn_latency_ms)
        metrics.target_first_token.set(settings.monitoring.target_first_token_ms)
        event_files = EventFileWriter(state_dir / "calls", on_dropped=metrics.event_log_dropped.inc, clock=clock)
        stack.push_async_callback(asyncio.to_thread, event_files.close)
        guard = OverloadGuard(overload_settings(settings.admission), clock.now())
        admission = Admission(
            capacity=settings.server.max_calls, clock=clock, guard=guard, on_refused=metrics.count_refusal
        )
        busy_clip = await _busy_clip(settings, services.synthesizer, usual)
        phrases = FixedPhrases(services.synthesizer, usual, agents.default.name)
        opener = CallOpener(services, metrics, event_files, phrases, default_locale=settings.asr.language)
        gateway = StreamingGateway(
            admission=admission,
            open_call=opener,
            clock=clock,
            machine_settings=services.settings.machine,
            agents=agents,
            access_token=settings.server.access_token.get_secret_value(),
            allowed_origins=settings.server.allowed_origins,
            busy_clip=busy_clip,
        )
        watch = asyncio.create_task(watch_load(clock, services.lateness, guard, metrics), name="load-watch")
        stack.callback(watch.cancel)
        preparing = asyncio.create_task(phrases.keep_ready(), name="prepare-phrases")
        stack.callback(preparing.cancel)
        readers = AgentReaders(services.tools, knowledge, phrases, opener, secret_lengths(settings))
        for agent in agents.all():
            await readers.look_over(agent)
        if settings.agents.reload_s > 0:
            watching = agents.watch(settings.agents.reload_s, readers.take_in, readers.take_out)
            stack.callback(asyncio.create_task(watching, name="read-agents").cancel)
        freeze_what_lives()
        stack.callback(gc.unfreeze)
        garbage = asyncio.create_task(
            collect_when_quiet(lambda: admission.status().active == 0), name="collect-when-quiet"
        )
        stack.callback(garbage.cancel)
        admission.open()
        yield Platform(
            settings, clock, services, database, knowledge, agents, metrics, event_files, admission, gateway, busy_clip
        )


async def _busy_clip(settings: Settings, synthesizer: CachingSynthesizer, usual: LocaleProfile) -> BusyClip | None:
    """What refused callers hear, if they are to hear anything, in the language of calls that name none."""
    if settings.server.busy_answer != "spoken":
        return None
    text = usual.prompts.busy
    try:
        await synthesizer.prepare([text], locale=usual.tag, voice=usual.voice)
    except ProviderError as error:
        log.warning("refused callers get the close code only: no voice could say the sentence", error=str(error))
        return None
    return BusyClip(synthesizer.prepared(text, locale=usual.tag, voice=usual.voice))
