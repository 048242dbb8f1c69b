"""The shipped documents of the demo shop, Juniper and Pine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib import resources
from pathlib import Path

from voice_agent.rag.pipeline import IngestReport, KnowledgeBase

#: Their sources begin so; ``seed_corpus`` owns exactly these and touches no others.
PREFIX = "shop:"


async def seed_corpus(knowledge: KnowledgeBase) -> IngestReport:
    """Brings the shipped documents in the knowledge base up to date: adds, updates, removes. Unchanged ones cost only
    reading and hashing. Raises ``StoreError``."""
    with resources.as_file(resources.files("voice_agent").joinpath("data", "kb")) as folder:
        shipped = await asyncio.to_thread(_shipped, folder)
        report = await knowledge.store((path, source) for source, path in shipped.items())
    stored = [document.source for document in await knowledge.documents()]
    gone = [source for source in stored if source.startswith(PREFIX) and source not in shipped]
    for source in gone:
        await knowledge.remove(source)
    return replace(report, removed=tuple(gone))


def _shipped(folder: Path) -> dict[str, Path]:
    return {PREFIX + path.name: path for path in sorted(folder.glob("*.md"))}
