"""``voice-agent kb``: the documents the agent answers from."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from voice_agent.errors import VoiceAgentError
from voice_agent.models import KnowledgeAnswer

if TYPE_CHECKING:  # what a command needs is imported when it runs, so that --help is instant
    from voice_agent.rag.pipeline import IngestReport, KnowledgeBase

T = TypeVar("T")

kb_app = typer.Typer(no_args_is_help=True, help="The documents the agent answers from.")


@kb_app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Markdown, text and HTML files, or folders.")],
) -> None:
    """Add documents; known ones are updated where their text has changed."""
    report: IngestReport = _with_knowledge(lambda knowledge: knowledge.add(paths))
    out = Console()
    for mark, sources in (("added", report.added), ("updated", report.updated), ("unchanged", report.unchanged)):
        for source in sources:
            out.print(f"{mark:>9}  {source}", highlight=False, markup=False, soft_wrap=True)
    for _, reason in report.failed:
        Console(stderr=True).print(f"   failed  {reason}", highlight=False, markup=False, soft_wrap=True)
    if report.failed:
        raise typer.Exit(1)


@kb_app.command()
def search(
    query: Annotated[str, typer.Argument(help="A question, as a caller would ask it.")],
    passages: Annotated[int, typer.Option(min=1, max=50, help="How many passages to show.")] = 4,
) -> None:
    """Show what the agent would find for a question, and whether it would use it."""
    answer: KnowledgeAnswer = _with_knowledge(lambda knowledge: knowledge.search(query, passages))
    out = Console()
    verdict = "answerable" if answer.answerable else "not answerable: the agent says that it does not know"
    out.print(f"confidence {answer.confidence:.2f}, {verdict}", highlight=False)
    for passage in answer.passages:
        out.print(f"\n{passage.score:.2f}  {passage.title}  ({passage.source})", style="bold", markup=False)
        out.print(passage.text, highlight=False, markup=False)


@kb_app.command("list")
def list_documents() -> None:
    """List all documents."""
    documents = _with_knowledge(lambda knowledge: knowledge.documents())
    table = Table("source", "title", "passages")
    for document in documents:
        table.add_row(document.source, document.title, str(document.chunks))
    Console().print(table)


@kb_app.command()
def remove(
    source: Annotated[str, typer.Argument(help="A document's source as 'list' shows it, or the path of its file.")],
) -> None:
    """Remove a document."""

    async def both_names(knowledge: KnowledgeBase) -> int:
        return await knowledge.remove(source) or await knowledge.remove(Path(source).resolve().as_posix())  # noqa: ASYNC240

    count = _with_knowledge(both_names)
    if not count:
        Console(stderr=True).print(f"there is no document {source!r}: see 'voice-agent kb list'.", markup=False)
        raise typer.Exit(1)
    Console().print(f"removed {source} ({count} passages)", highlight=False, markup=False)


def _with_knowledge(work: Callable[[KnowledgeBase], Awaitable[T]]) -> T:
    """Runs ``work`` on the configured knowledge base; an error of ours becomes one line and exit code 1."""
    from voice_agent.app import open_knowledge_base
    from voice_agent.config import load_settings

    async def run() -> T:
        async with open_knowledge_base(load_settings()) as knowledge:
            return await work(knowledge)

    try:
        return asyncio.run(run())
    except VoiceAgentError as error:
        Console(stderr=True).print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
