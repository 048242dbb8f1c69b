"""What calls work with: models, vendors, stores and tools, wired together and warm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import structlog

from voice_agent.app.settings import call_settings
from voice_agent.app.stores import knowledge_of_calls
from voice_agent.call.services import CallServices
from voice_agent.clock import Clock
from voice_agent.config import Settings
from voice_agent.conversation.locales import LocaleProfile
from voice_agent.errors import ProviderError, VoiceAgentError
from voice_agent.observability.pii import warm_pii
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
from voice_agent.rag.pipeline import KnowledgeBase
from voice_agent.store.callers import CallerDirectory
from voice_agent.store.database import Database
from voice_agent.store.demo import seed_demo
from voice_agent.store.handovers import CallbackHandovers
from voice_agent.store.totp_secrets import TotpSecrets, warm_sealing
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


async def local_services(
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
        if settings.identity.uses_totp:
            group.create_task(asyncio.to_thread(warm_sealing))
        if settings.shop.api_url:
            group.create_task(asyncio.to_thread(load_http))
        if shop_up is not None:
            group.create_task(shop_up())
        if settings.demo_data_wanted:
            group.create_task(seed_demo(database))
        if settings.knowledge.enabled:
            opened = group.create_task(knowledge_of_calls(settings, embedder, stack))
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


def second_factor(settings: Settings, database: Database, clock: Clock) -> GuardedSecondFactor | None:
    """What ``SECOND_FACTOR`` names, with the count of tries that it shares with PINs. Raises ``ConfigError``."""
    identity = settings.identity
    if not identity.second_factor:
        return None
    factor: SecondFactor
    if identity.uses_totp:
        factor = TotpFactor(TotpSecrets(database, identity), clock)
    else:
        factor = load_second_factor(identity.second_factor)
    return GuardedSecondFactor(factor, TryCount(database, identity, clock), identity, settings.tools, clock)
