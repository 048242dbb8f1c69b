"""``voice-agent agent``: look at agent files and say what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voice_agent.errors import ConfigError

if TYPE_CHECKING:  # what a command needs is imported when it runs, so that --help is instant
    from voice_agent.agents.book import AgentBook
    from voice_agent.conversation.agent import AgentProfile
    from voice_agent.conversation.locales import LocaleProfile

agents_app = typer.Typer(no_args_is_help=True, help="Who takes calls: agent files, see docs/agents.md.")


@agents_app.command("list")
def list_agents() -> None:
    """List the agents of this server."""
    book = _book()
    table = Table("name", "title", "numbers", "locale", "")
    for agent in book.all():
        mark = "answers calls that name none" if agent.name == book.default.name else ""
        table.add_row(agent.name, escape(agent.title), ", ".join(agent.numbers), agent.default_locale, mark)
    Console().print(table)


@agents_app.command()
def check(
    path: Annotated[
        Path | None, typer.Argument(metavar="PATH", help="An agent file or a folder of them. Default: AGENTS.")
    ] = None,
) -> None:
    """Read agent files as the server would. Every mistake is told with file and line; exit code 1 if there is any."""
    from voice_agent.agents.agent_file import load_agent
    from voice_agent.agents.book import agent_files, read_agents
    from voice_agent.agents.doubts import doubts_of
    from voice_agent.app.settings import secret_lengths
    from voice_agent.config import load_settings

    settings = load_settings()
    out, problems = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
    source = path or settings.agents.source
    wrong = 0
    for file in agent_files(source) if source is not None else (None,):
        try:
            agent = load_agent(file)
        except ConfigError as error:
            wrong += 1
            problems.print(str(error), markup=False)
            continue
        out.print(f"[green]ok[/]  {escape(agent.name)}  {escape(str(file or 'the shipped agent'))}")
        for doubt in doubts_of(agent, secret_lengths=secret_lengths(settings)):
            out.print(f"    {doubt}", markup=False)
    if wrong:
        raise typer.Exit(1)
    if source is not None:
        read_agents(source)  # what only shows in all of them together: a name or a number that two have
    if path is None:
        _book()  # whether it is clear which of them is the default


@agents_app.command()
def show(
    name: Annotated[str, typer.Argument(help="An agent's name; default: the one of calls that name none.")] = "",
    locale: Annotated[str, typer.Option(metavar="TAG", help="The language to show; default: the agent's own.")] = "",
) -> None:
    """Show an agent as its callers meet it: words, system prompt, tools, knowledge, policy, limits."""
    from voice_agent.config import load_settings

    book = _book()
    agent = next((known for known in book.all() if known.name == name), None) if name else book.default
    if agent is None:
        raise ConfigError(f"there is no agent {name!r}; known: {', '.join(known.name for known in book.all())}.")
    row = agent.locale(agent.locale_tag(locale, load_settings().asr.language))
    table = Table(show_header=False, title=f"{agent.name}, {row.tag}", title_justify="left")
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for label, text in _rows(agent, row):
        table.add_row(label, escape(text))
    Console(highlight=False).print(table)


def _rows(agent: AgentProfile, row: LocaleProfile) -> list[tuple[str, str]]:
    from voice_agent.conversation.agent_rules import ADJUSTABLE

    changed = {change.meaning: change.action.value for change in agent.rules.policy}
    own = sorted({phrase.name for phrase in agent.rules.phrases})
    tools = "all of the server's" if agent.tools.only is None else ", ".join(sorted(agent.tools.only))
    if agent.tools.without:
        tools += f", without {', '.join(sorted(agent.tools.without))}"
    targets = [
        f"{rule.target.name} ({agent.desks[rule.target.name]})"
        + (f", {rule.target.address}" if rule.target.address else ", a callback is recorded")
        + (f", for {', '.join(reason.value for reason in rule.reasons)}" if rule.reasons else "")
        for rule in agent.rules.handovers
    ]
    limits = {name: getattr(agent.limits, name) for name in agent.limits.__slots__}
    return [
        ("title", agent.title),
        ("numbers", ", ".join(agent.numbers) or "none: chosen by name, or as the default"),
        ("greeting", " ".join(row.prompts.greeting)),
        ("own phrases", ", ".join(own) or "none"),
        ("system prompt", row.system_prompt),
        ("voice", row.voice or "TTS_VOICE"),
        ("recognition expects", ", ".join(row.asr_hints)),
        ("tools", tools),
        ("knowledge", ", ".join(agent.knowledge) or "CHROMA_COLLECTION"),
        ("policy", ", ".join(f"{meaning.value}: {changed.get(meaning, 'as usual')}" for meaning in ADJUSTABLE)),
        ("hands over to", "\n".join(targets) or "a callback is recorded"),
        ("limits", ", ".join(f"{name} {value:g}" for name, value in limits.items() if value is not None) or "as set"),
    ]


def _book() -> AgentBook:
    from voice_agent.app.stores import agents_of
    from voice_agent.config import load_settings

    return agents_of(load_settings())
