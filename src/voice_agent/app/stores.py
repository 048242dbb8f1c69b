"""Agents, knowledge base and callers, for a server and, alone, for the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from voice_agent.agents.book import AgentBook, open_agents
from voice_agent.clock import LoopClock
from voice_agent.config import Settings
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.understanding.planted import mark_data
from voice_agent.rag.corpus import seed_corpus
from voice_agent.rag.pipeline import KnowledgeBase, open_knowledge
from voice_agent.store.caller_admin import CallerAdmin
from voice_agent.store.database import open_database
from voice_agent.store.demo import seed_demo


def agents_of(settings: Settings, *, lenient: bool = False) -> AgentBook:
    """The agents that calls are taken by; for the command line too. Blocks on the disk. Raises ``ConfigError``."""
    return open_agents(settings.agents.source, settings.agents.default, demo=settings.demo_data_wanted, lenient=lenient)


def _knowledge_of(settings: Settings, embedder: MiniLmEmbedder) -> AbstractAsyncContextManager[KnowledgeBase]:
    return open_knowledge(
        settings.knowledge,
        settings.server.state_dir,
        embedder,
        default_locale=settings.asr.language,
        inspect=lambda text: mark_data(text).rules,
    )


async def knowledge_of_calls(settings: Settings, embedder: MiniLmEmbedder, stack: AsyncExitStack) -> KnowledgeBase:
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
