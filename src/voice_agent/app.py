"""The composition root: the one place where things are wired together."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import structlog

from voice_agent import __version__
from voice_agent.agents.agent_file import ALWAYS
from voice_agent.agents.book import AgentBook, open_agents
from voice_agent.app_settings import call_settings, overload_settings
from voice_agent.call.door import Door, LiveCall
from voice_agent.call.phrases import FixedPhrases
from voice_agent.call.services import CallServices
from voice_agent.call.session import CallSession
from voice_agent.clock import Clock, LoopClock
from voice_agent.config import Settings
from voice_agent.conversation.agent import AgentProfile
from voice_agent.conversation.locales import LocaleProfile
from voice_agent.errors import ProviderError, VoiceAgentError
from voice_agent.gateway.admission import Admission, Ticket
from voice_agent.gateway.busy import BusyClip
from voice_agent.gateway.load_watch import watch_load
from voice_agent.gateway.overload import OverloadGuard
from voice_agent.gateway.websocket import StreamingGateway
from voice_agent.models import CallId
from voice_agent.observability.event_file import EventFileWriter
from voice_agent.observability.event_log import call_header
from voice_agent.observability.garbage import collect_when_quiet, freeze_what_lives
from voice_agent.observability.lifecycle_log import log_sink
from voice_agent.observability.metrics import CallMetrics
from voice_agent.observability.pii import warm_pii
from voice_agent.observability.record import RecordSink
from voice_agent.providers.chain.build import build_chains
from voice_agent.providers.embedding.minilm import MiniLmEmbedder, default_cache_dir
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.registry import ProviderContext, provider_context
from voice_agent.providers.tts.cache import CachingSynthesizer
from voice_agent.providers.turn.smart_turn import SmartTurnModel
from voice_agent.providers.understanding.planted import mark_data
from voice_agent.providers.understanding.semantic import SemanticUnderstanding
from voice_agent.providers.vad.silero import SileroDetectorFactory
from voice_agent.providers.web import load_http
from voice_agent.rag.corpus import seed_corpus
from voice_agent.rag.pipeline import KnowledgeBase, open_knowledge
from voice_agent.store.caller_admin import CallerAdmin
from voice_agent.store.callers import CallerDirectory
from voice_agent.store.database import Database, open_database
from voice_agent.store.demo import seed_demo
from voice_agent.store.handovers import CallbackHandovers
from voice_agent.store.totp_secrets import TotpSecrets
from voice_agent.store.tries import TryCount
from voice_agent.tools.backend_client import ShopClient
from voice_agent.tools.base import Tool
from voice_agent.tools.end_call import end_call_tool
from voice_agent.tools.knowledge import knowledge_tool
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.second_factor import GuardedSecondFactor, SecondFactor, load_second_factor
from voice_agent.tools.shop import shop_tools
from voice_agent.tools.sources.load import load_tool_sources
from voice_agent.tools.totp import TotpFactor
from voice_agent.tools.transfer import transfer_tool
from voice_agent.tools.verify_pin import GuardedPinVerifier, verify_pin_tool

log = structlog.get_logger(__name__)

_SHOP = "the shop"  # as the log names its connection


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
) -> AsyncIterator[Platform]:
    """Builds and warms everything, and takes it down again in reverse. Raises ``ConfigError``.

    ``services`` replaces what calls work with (benchmarks bring scripted providers). ``shop_up`` returns once the order
    system that is starting beside the platform can be asked; what it raises ends the start.
    """
    clock = LoopClock()
    state_dir = settings.server.state_dir
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        agents = await asyncio.to_thread(agents_of, settings)
        usual = agents.default.locale(agents.default.default_locale or settings.asr.language)
        database = await stack.enter_async_context(open_database(settings.store, state_dir))
        knowledge = None
        if services is None:
            services, knowledge = await _local_services(settings, clock, database, usual, stack, shop_up)
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
        phrases = FixedPhrases(services.synthesizer, usual)
        opener = _CallOpener(services, metrics, event_files, phrases, default_locale=settings.asr.language)
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
        readers = _AgentReaders(services.tools, knowledge, phrases, opener)
        for agent in agents.all():
            await readers.look_over(agent)
        if settings.agents.reload_s > 0:
            watching = agents.watch(settings.agents.reload_s, readers.take_in)
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


def agents_of(settings: Settings) -> AgentBook:
    """The agents that calls are taken by; for the command line too. Blocks on the disk. Raises ``ConfigError``."""
    return open_agents(settings.agents.source, settings.agents.default, demo=settings.demo_data_wanted)


class _CallOpener:
    """Makes a call for a door (the gateway's ``OpenCall``)."""

    def __init__(
        self,
        services: CallServices,
        metrics: CallMetrics,
        event_files: EventFileWriter,
        phrases: FixedPhrases,
        *,
        default_locale: str,
    ) -> None:
        self._services = services
        self._phrases = phrases
        self._default_locale = default_locale
        self._metrics = metrics
        self._event_files = event_files

    def locale_of(self, agent: AgentProfile, requested: str) -> LocaleProfile:
        return agent.locale(requested or agent.default_locale or self._default_locale)

    def __call__(
        self,
        *,
        door: Door,
        agent: AgentProfile,
        caller_id: str,
        locale: str,
        ticket: Ticket,
        extra_sinks: Sequence[RecordSink],
    ) -> LiveCall:
        call_id = CallId(uuid.uuid4().hex)
        self._phrases.want(self.locale_of(agent, locale))
        header = call_header(__version__, agent.machine_settings(self._services.settings.machine))
        sinks: list[RecordSink] = [
            self._event_files.open(call_id, header),
            self._metrics.fold(),
            log_sink,
            *extra_sinks,
        ]
        return CallSession(
            self._services,
            door,
            call_id=call_id,
            caller_id=caller_id,
            locale=locale or agent.default_locale or self._default_locale,
            agent=agent,
            sinks=sinks,
        )


class _AgentReaders:
    """What is done about an agent that was read: doubts are told, what it will say first is prepared."""

    def __init__(
        self, tools: ToolRegistry, knowledge: KnowledgeBase | None, phrases: FixedPhrases, opener: _CallOpener
    ) -> None:
        self._tools = tools
        self._knowledge = knowledge
        self._phrases = phrases
        self._opener = opener

    async def take_in(self, agent: AgentProfile) -> None:
        self._phrases.want(self._opener.locale_of(agent, ""))
        await self.look_over(agent)

    async def look_over(self, agent: AgentProfile) -> None:
        """Says what the agent names and this server lacks: a misspelt name, or something that is still to come."""
        known = {tool.name for tool in self._tools}
        if missing := sorted((agent.tools.only or frozenset()) - known - ALWAYS):
            log.warning("an agent names tools that this server does not have", agent=agent.name, tools=missing)
        if self._knowledge is not None:
            lacking = [name for name in agent.knowledge if not await self._knowledge.has(name)]
            if lacking:
                log.warning("an agent names collections that hold nothing", agent=agent.name, collections=lacking)


async def _local_services(
    settings: Settings,
    clock: Clock,
    database: Database,
    usual: LocaleProfile,
    stack: AsyncExitStack,
    shop_up: Callable[[], Coroutine[Any, Any, None]] | None,
) -> tuple[CallServices, KnowledgeBase | None]:
    pool = ModelPool(settings.local_models.workers, settings.local_models.queue)
    stack.push_async_callback(pool.close)
    embedder = MiniLmEmbedder(pool)
    context = provider_context(settings, pool, embedder)
    stack.push_async_callback(context.web.aclose)
    chains = build_chains(settings, context, clock)
    synthesizer = CachingSynthesizer(chains.synthesizer, chains.phrases)
    detectors = SileroDetectorFactory(pool, quiet_dbfs=settings.turn.vad_quiet_dbfs)
    turn_model = SmartTurnModel(pool)
    understanding = SemanticUnderstanding(embedder, cache_dir=default_cache_dir())
    callers = CallerDirectory(database, settings.identity, clock)
    stack.callback(callers.close)

    knowledge: KnowledgeBase | None = None
    async with _one_error(), asyncio.TaskGroup() as group:
        group.create_task(chains.recognizers.warm_up())
        group.create_task(_warm_voice(synthesizer, usual))
        group.create_task(detectors.warm_up())
        group.create_task(turn_model.warm_up())
        group.create_task(callers.warm_up())
        group.create_task(asyncio.to_thread(warm_pii))
        group.create_task(asyncio.to_thread(mark_data, ""))  # reads the rules
        group.create_task(_warm_meaning(embedder, understanding, chains.language_model))
        group.create_task(context.warmth.warm())
        if settings.shop.api_url:
            group.create_task(asyncio.to_thread(load_http))
        if shop_up is not None:
            group.create_task(shop_up())
        if settings.demo_data_wanted:
            group.create_task(seed_demo(database))
        if settings.knowledge.enabled:
            opened = group.create_task(_open_knowledge(settings, embedder, stack))
    if settings.knowledge.enabled:
        knowledge = opened.result()

    order_tools = await _order_tools(settings, context)
    pins = GuardedPinVerifier(callers, settings.tools, clock)
    tools = ToolRegistry(*order_tools, transfer_tool(), end_call_tool(), verify_pin_tool(pins))
    if knowledge is not None:
        tools.register(knowledge_tool(knowledge))
    await load_tool_sources(settings.tools, tools, stack, context.web)
    services = CallServices(
        clock=clock,
        recognizers=chains.recognizers,
        detectors=detectors,
        turn_model=turn_model,
        understanding=understanding,
        language_model=chains.language_model,
        synthesizer=synthesizer,
        tools=tools,
        router=ToolRouter(tools, settings.tools, clock),
        pins=pins,
        handover=CallbackHandovers(database, clock),
        settings=call_settings(settings),
        second_factor=second_factor(settings, database, clock),
        warmth=context.warmth,
    )
    return services, knowledge


@asynccontextmanager
async def _one_error() -> AsyncIterator[None]:
    """The first of our own errors out of a task group: one clear line for the operator, not a tree."""
    try:
        yield
    except BaseExceptionGroup as group:
        ours, _ = group.split(VoiceAgentError)
        if ours is None:
            raise
        error: BaseException = ours
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


async def _warm_voice(synthesizer: CachingSynthesizer, usual: LocaleProfile) -> None:
    """Loads the voice and prepares the greeting, which every call needs at once."""
    await synthesizer.warm_up()
    with suppress(ProviderError):  # a vendor that is down at the start may be up when the first caller rings
        await synthesizer.prepare(usual.prompts.greeting, locale=usual.tag, voice=usual.voice)


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


async def _warm_meaning(embedder: MiniLmEmbedder, understanding: SemanticUnderstanding, language_model: Any) -> None:
    await embedder.warm_up()
    await understanding.warm_up()
    await language_model.warm_up()


async def _order_tools(settings: Settings, context: ProviderContext) -> tuple[Tool, ...]:
    """Those of the shop's order system, if there is one. Asked once the models are loaded: while they are, the loop stands
    still for longer than the shop has to answer."""
    if not settings.shop.api_url:
        log.info("there are no tools on orders", advice="set SHOP_API_URL and SHOP_API_TOKEN, or DEMO_DATA=true")
        return ()
    shop = ShopClient(context.web, settings.shop)
    context.warmth.register(_SHOP, shop.warm)
    await context.warmth.warm(_SHOP)
    return shop_tools(shop)


def _knowledge_of(settings: Settings, embedder: MiniLmEmbedder) -> AbstractAsyncContextManager[KnowledgeBase]:
    return open_knowledge(
        settings.knowledge,
        settings.server.state_dir,
        embedder,
        default_locale=settings.asr.language,
        inspect=lambda text: mark_data(text).rules,
    )


async def _open_knowledge(settings: Settings, embedder: MiniLmEmbedder, stack: AsyncExitStack) -> KnowledgeBase:
    knowledge = await stack.enter_async_context(_knowledge_of(settings, embedder))
    if settings.demo_data_wanted:
        await seed_corpus(knowledge)
    return knowledge


@asynccontextmanager
async def open_knowledge_base(settings: Settings) -> AsyncIterator[KnowledgeBase]:
    """The knowledge base alone, for the command line."""
    state_dir = settings.server.state_dir
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    embedder = MiniLmEmbedder()
    async with _knowledge_of(settings, embedder) as knowledge:
        if settings.demo_data_wanted:
            await seed_corpus(knowledge)
        yield knowledge


@asynccontextmanager
async def open_caller_admin(settings: Settings) -> AsyncIterator[CallerAdmin]:
    """The callers alone, for the command line."""
    state_dir = settings.server.state_dir
    state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with open_database(settings.store, state_dir) as database:
        if settings.demo_data_wanted:
            await seed_demo(database)
        yield CallerAdmin(database, LoopClock())


def second_factor(settings: Settings, database: Database, clock: Clock) -> GuardedSecondFactor | None:
    """What ``SECOND_FACTOR`` names, with the count of tries that it shares with PINs. Raises ``ConfigError``."""
    identity = settings.identity
    if not identity.second_factor:
        return None
    factor: SecondFactor
    if identity.second_factor == "totp":
        factor = TotpFactor(TotpSecrets(database, identity), clock)
    else:
        factor = load_second_factor(identity.second_factor)
    return GuardedSecondFactor(factor, TryCount(database, identity, clock), identity, settings.tools, clock)
