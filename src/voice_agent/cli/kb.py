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

if TYPE_CHECKING:  # what a command needs is imported when it runs, so that --help is instant
    from voice_agent.rag.evaluation import Evaluation
    from voice_agent.rag.hybrid import Hit
    from voice_agent.rag.pipeline import IngestReport, KnowledgeBase

T = TypeVar("T")

kb_app = typer.Typer(no_args_is_help=True, help="The documents the agent answers from.")


Locale = Annotated[
    str,
    typer.Option(metavar="TAG", help="The language of the documents, as in 'es' or 'es-MX'; default: ASR_LANGUAGE's."),
]
Collection = Annotated[
    str, typer.Option(metavar="NAME", help="The collection, as agent files name it; default: CHROMA_COLLECTION.")
]


@kb_app.command()
def add(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Markdown, text, HTML, PDF and Word (docx) files, folders of them, or https addresses on KB_ALLOWED_HOSTS.",
        ),
    ],
    locale: Locale = "",
    collection: Collection = "",
) -> None:
    """Add documents; known ones are updated where their text has changed, and removed where they are gone from a folder
    or an address."""
    from voice_agent.rag.fetch import is_url

    paths = [Path(source) for source in sources if not is_url(source)]
    urls = [source for source in sources if is_url(source)]
    report: IngestReport = _with_knowledge(
        lambda knowledge: knowledge.add(paths, urls, locale=locale, collection=collection)
    )
    out = Console()
    outcomes = {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
    }
    for mark, names in outcomes.items():
        for name in names:
            out.print(f"{mark:>9}  {name}", highlight=False, markup=False, soft_wrap=True)
    for source, rules in report.doubtful:
        said = f"{source} tries to give the agent orders ({', '.join(rules)}): they will be marked as mere text"
        Console(stderr=True).print(f"     note  {said}", highlight=False, markup=False, soft_wrap=True)
    for _, reason in report.failed:
        Console(stderr=True).print(f"   failed  {reason}", highlight=False, markup=False, soft_wrap=True)
    if report.failed:
        raise typer.Exit(1)


@kb_app.command()
def search(
    query: Annotated[str, typer.Argument(help="A question, as a caller would ask it.")],
    passages: Annotated[int, typer.Option(min=1, max=50, help="How many passages to show.")] = 4,
    locale: Locale = "",
    collection: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A collection to ask; repeatable. Default: CHROMA_COLLECTION."),
    ] = None,
) -> None:
    """Show what the agent would find for a question, with all scores, and whether it would use it."""
    hits: tuple[Hit, ...] = _with_knowledge(
        lambda knowledge: knowledge.hits(query, passages, locale=locale, collections=tuple(collection or ()))
    )
    out = Console()
    confidence = hits[0].confidence if hits else 0.0
    sure = confidence >= _threshold()
    verdict = "answerable" if sure else "not answerable: the agent says that it does not know"
    out.print(f"confidence {confidence:.2f} (threshold {_threshold():.2f}), {verdict}", highlight=False)
    if hits:
        known = hits[0].evidence
        out.print(
            f"words that no document holds {known.unknown:.0%}, nearness to questions known to be unanswered "
            + ("(none are listed)" if known.rival is None else f"{known.rival:.2f}"),
            highlight=False,
            markup=False,
        )
    for hit in hits:
        title = f"{hit.title}: {hit.heading}" if hit.heading else hit.title
        out.print(f"\n{title}  ({hit.source})", style="bold", markup=False, highlight=False)
        out.print(
            f"embedding {hit.embedding:.3f}  bm25 {hit.bm25:.2f}  fused {hit.fused:.3f}  confidence {hit.confidence:.2f}",
            style="dim",
            highlight=False,
        )
        out.print(hit.text, highlight=False, markup=False)


@kb_app.command("eval")
def evaluate_questions(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Labelled questions (YAML), see docs/knowledge-base.md.")
    ],
    mistakes: Annotated[int, typer.Option(min=0, help="How many wrong or needlessly refused questions to show.")] = 10,
    locale: Locale = "",
) -> None:
    """Ask labelled questions: what is found, what is refused, and whether the confidence is true."""
    from voice_agent.rag.evaluation import evaluate, load_questions

    async def run(knowledge: KnowledgeBase) -> Evaluation:
        return await evaluate(knowledge, load_questions(file), _threshold(), locale=locale)

    _print_evaluation(_with_knowledge(run), mistakes)


def _print_evaluation(found: Evaluation, mistakes: int) -> None:
    out = Console()
    table = Table("", "", title=f"{found.answerable} answerable and {found.unanswerable} unanswerable questions")
    table.columns[1].justify = "right"
    for k, share in found.recall.items():
        table.add_row(f"recall@{k}", f"{share:.1%}")
    table.add_row("MRR", f"{found.mrr:.3f}")
    table.add_row("answerable, answered", f"{found.answered:.1%}")
    table.add_row("unanswerable, refused", f"{found.refused:.1%}")
    table.add_row("wrong with confidence, no right passage in the first 3", f"{found.wrong_evidence:.1%}")
    table.add_row("wrong with confidence, first passage not the right one", f"{found.wrong_first:.1%}")
    table.add_row("calibration error", f"{found.calibration_error:.3f}")
    table.add_row("Brier score", f"{found.brier:.3f}")
    out.print(table)
    reliability = Table("confidence", "questions", "mean confidence", "right", title="Is the confidence true?")
    for row in found.reliability:
        figures = (f"{row.confidence:.2f}", f"{row.right:.2f}") if row.count else ("-", "-")
        reliability.add_row(f"{row.low:.1f} to {row.high:.1f}", str(row.count), *figures)
    out.print(reliability)
    for asked in found.mistakes[:mistakes]:
        wanted = ", ".join(asked.question.documents) or "no answer"
        got = asked.hits[0].source if asked.hits else "nothing"
        out.print(
            f"{asked.confidence:.2f}  {asked.question.text}  (wanted {wanted}; first is {got})",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


@kb_app.command("list")
def list_documents(locale: Locale = "", collection: Collection = "") -> None:
    """List all documents of a language."""
    documents = _with_knowledge(lambda knowledge: knowledge.documents(locale=locale, collection=collection))
    table = Table("source", "title", "passages")
    for document in documents:
        table.add_row(document.source, document.title, str(document.chunks))
    Console().print(table)


@kb_app.command()
def remove(
    source: Annotated[str, typer.Argument(help="A document's source as 'list' shows it, or the path of its file.")],
    locale: Locale = "",
    collection: Collection = "",
) -> None:
    """Remove a document."""
    path = Path(source).resolve().as_posix()

    async def both_names(knowledge: KnowledgeBase) -> int:
        removed = [await knowledge.remove(name, locale=locale, collection=collection) for name in (source, path)]
        return sum(removed)

    count = _with_knowledge(both_names)
    if not count:
        Console(stderr=True).print(f"there is no document {source!r}: see 'voice-agent kb list'.", markup=False)
        raise typer.Exit(1)
    Console().print(f"removed {source} ({count} passages)", highlight=False, markup=False)


def _threshold() -> float:
    from voice_agent.config import load_settings

    return load_settings().knowledge.confidence_threshold


def _with_knowledge(work: Callable[[KnowledgeBase], Awaitable[T]]) -> T:
    """Runs ``work`` on the configured knowledge base; an error of ours becomes one line and exit code 1."""
    from voice_agent.app.stores import open_knowledge_base
    from voice_agent.config import load_settings

    async def run() -> T:
        async with open_knowledge_base(load_settings()) as knowledge:
            return await work(knowledge)

    try:
        return asyncio.run(run())
    except VoiceAgentError as error:
        Console(stderr=True).print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
