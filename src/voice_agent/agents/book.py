"""The agents of a server: read from files, looked up for each call, read again when a file changes.

Rules:

1. A call keeps the agent it began with. What changes in a file holds for calls that begin after it was read.
2. At the start of a server every file must be right. Later a file that is not right is said in the log, and its agent
   stays as it was; one that is gone takes its agent away, unless it is the one that answers calls which name none.
3. No two agents have one name or one number.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from voice_agent.agents.agent_file import load_agent
from voice_agent.conversation.agent import AgentProfile
from voice_agent.conversation.agent_rules import AgentRules
from voice_agent.errors import CallerError, ConfigError

MAX_FILES = 1_000
_KINDS = ("*.yaml", "*.yml")
_USUAL_NAME = "default"

_log = structlog.get_logger(__name__)

Snapshot = Mapping[Path, tuple[int, int]]
"""Each file's time of change in ns and size in bytes."""


@dataclass(frozen=True, slots=True)
class _Page:
    """What is known of one file."""

    signature: tuple[int, int]
    agent: AgentProfile


class AgentBook:
    """Shared by the process. Made by ``open_agents``; ``default`` answers calls that name neither an agent nor a number that
    one of them has."""

    def __init__(
        self, default: AgentProfile, source: Path | None = None, pages: Mapping[Path, _Page] | None = None
    ) -> None:
        self.default = default
        self._source = source
        self._pages = dict(pages or {})  # replaced as a whole: calls look agents up while another thread reads files
        self._seen: Snapshot = {path: page.signature for path, page in self._pages.items()}

    def all(self) -> tuple[AgentProfile, ...]:
        """By name."""
        agents = {self.default.name: self.default} | {page.agent.name: page.agent for page in self._pages.values()}
        return tuple(agents[name] for name in sorted(agents))

    def choose(self, name: str, called: str) -> AgentProfile:
        """Who takes a call: the agent of this name, else the one with the number that was called, else ``default``. Raises
        ``CallerError`` for a name that no agent has."""
        if name:
            agent = next((agent for agent in self.all() if agent.name == name), None)
            if agent is None:
                raise CallerError("agent: there is no agent of this name")
            return agent
        dialled = _digits(called)
        on_file = (page.agent for page in self._pages.values())
        answering = (a for a in on_file if dialled and any(_digits(number) == dialled for number in a.numbers))
        return next(answering, self.default)

    async def watch(
        self, every_s: float, on_change: Callable[[AgentProfile], Awaitable[None]], on_gone: Callable[[str], None]
    ) -> None:
        """Reads changed files again until cancelled; ``on_change`` gets every agent that is new or has changed, ``on_gone``
        the name of each that is there no more."""
        while self._source is not None:
            await asyncio.sleep(every_s)
            try:
                before = {agent.name for agent in self.all()}
                changed = await asyncio.to_thread(self.reload)
                for name in before.difference(agent.name for agent in self.all()):
                    on_gone(name)
                for agent in changed:
                    await on_change(agent)
            except Exception:  # whatever one file leads to, the next change is to be seen
                _log.exception("reading agents failed")

    def reload(self) -> tuple[AgentProfile, ...]:
        """Reads what has changed on disk; gives the agents that are new or have changed. Blocks on the disk; raises
        nothing."""
        if self._source is None:
            return ()
        try:
            files = _snapshot(self._source)
        except ConfigError as error:
            if self._seen:
                _log.warning("the agents stay as they are", error=str(error))
            self._seen = {}
            return ()
        if files == self._seen:
            return ()
        self._seen = files
        pages, refused = self._turned(files)
        for path, problem in refused.items():
            _log.warning("an agent file is wrong, its agent stays as it was", file=str(path), error=problem)
        changed = tuple(page.agent for path, page in pages.items() if page is not self._pages.get(path))
        self._take_over(pages)
        return changed

    def _turned(self, files: Snapshot) -> tuple[dict[Path, _Page], dict[Path, str]]:
        """The pages as the files are now, and what is wrong with files that are left as they were."""
        pages: dict[Path, _Page] = {}
        refused: dict[Path, str] = {}
        for path, signature in files.items():
            page = self._pages.get(path)
            if page is None or page.signature != signature:
                try:
                    page = _Page(signature, load_agent(path))
                except ConfigError as error:
                    refused[path] = str(error)
            if page is not None:
                pages[path] = page
        while clash := self._clash(pages):
            path, refused[path] = clash
            before = self._pages.get(path)
            if before is None:
                del pages[path]
            else:
                pages[path] = before
        return pages, refused

    def _clash(self, pages: Mapping[Path, _Page]) -> tuple[Path, str] | None:
        """A changed file that does not go with the others, and why: the last one by name."""
        for path in sorted(pages, reverse=True):
            before = self._pages.get(path)
            if pages[path] is before:
                continue
            if problem := _clash_with(path, pages):
                return path, problem
            renamed = before is not None and before.agent.name == self.default.name
            if renamed and all(page.agent.name != self.default.name for page in pages.values()):
                return path, f"{path}: {self.default.name!r} answers calls that name no agent: it must keep its name."
        return None

    def _take_over(self, pages: dict[Path, _Page]) -> None:
        now = {page.agent.name: page.agent for page in pages.values()}
        for path, page in self._pages.items():
            if page.agent.name not in now and page.agent.name == self.default.name:
                _log.warning("the default agent's file is gone, the agent stays as it was", file=str(path))
            elif page.agent.name not in now:
                _log.info("agent gone", agent=page.agent.name)
        for path, page in pages.items():
            if page is not self._pages.get(path):
                _log.info("agent read", agent=page.agent.name, file=str(path))
        self._pages = pages
        self.default = now.get(self.default.name, self.default)


def open_agents(source: Path | None, default: str = "", *, demo: bool = True, lenient: bool = False) -> AgentBook:
    """Reads a file, or every YAML file of a folder. None gives one agent: the shipped one of the demo shop, or, without
    ``demo``, one that says nothing of whom it works for. ``default`` names the agent that answers calls which name none; it
    may be left out where there is only one, or one named "default". ``lenient`` leaves wrong files out: a worker that is
    started again while somebody edits them must not be lost.

    Blocks on the disk. Raises ``ConfigError`` with file and line.
    """
    if source is None:
        only = load_agent(None) if demo else AgentProfile(AgentRules(_USUAL_NAME))
        if default not in ("", only.name):
            raise ConfigError(f"DEFAULT_AGENT={default!r} needs AGENTS: without it {only.name!r} is the only agent.")
        return AgentBook(only)
    pages = _read(source, lenient=lenient)
    return AgentBook(_default_of([page.agent for page in pages.values()], default), source, pages)


def read_agents(source: Path) -> tuple[AgentProfile, ...]:
    """The agents of a file or a folder. Raises ``ConfigError`` for the first mistake, in one file or between two."""
    return tuple(page.agent for page in _read(source, lenient=False).values())


def _read(source: Path, *, lenient: bool) -> dict[Path, _Page]:
    pages: dict[Path, _Page] = {}
    for path, signature in _snapshot(source).items():
        try:
            pages[path] = _fitting(_Page(signature, load_agent(path)), path, pages)
        except ConfigError as error:
            if not lenient:
                raise
            _log.error("an agent file is wrong, its agent takes no calls", file=str(path), error=str(error))
    return pages


def _fitting(page: _Page, path: Path, pages: Mapping[Path, _Page]) -> _Page:
    """The page, if it goes with the others. Raises ``ConfigError``."""
    if problem := _clash_with(path, {**pages, path: page}):
        raise ConfigError(problem)
    return page


def _default_of(agents: list[AgentProfile], wanted: str) -> AgentProfile:
    by_name = {agent.name: agent for agent in agents}
    if not wanted and len(agents) == 1:
        return agents[0]
    chosen = by_name.get(wanted or _USUAL_NAME)
    if chosen is not None:
        return chosen
    known = ", ".join(sorted(by_name))
    if wanted:
        raise ConfigError(f"DEFAULT_AGENT={wanted!r} is none of the agents: {known}.")
    raise ConfigError(f"DEFAULT_AGENT must say which agent answers calls that name none: {known}.")


def agent_files(source: Path) -> tuple[Path, ...]:
    """The file, or the YAML files of the folder. Raises ``ConfigError`` where there is none, or too many."""
    try:
        if not source.is_dir():
            if not source.exists():
                raise ConfigError(f"{source} is neither an agent file nor a folder of them.")
            return (source,)
        found = sorted(path for kind in _KINDS for path in source.glob(kind) if not path.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}.") from None
    if not found:
        raise ConfigError(f"{source} is a folder without agent files: put one there (*.yaml).")
    if len(found) > MAX_FILES:
        raise ConfigError(f"{source} holds {len(found)} agent files: at most {MAX_FILES} are read.")
    return tuple(found)


def _snapshot(source: Path) -> dict[Path, tuple[int, int]]:
    """The agent files there are. Raises ``ConfigError``."""
    found: dict[Path, tuple[int, int]] = {}
    for path in agent_files(source):
        try:
            status = path.stat()
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


def _clash_with(path: Path, pages: Mapping[Path, _Page]) -> str:
    """What this page has that another one has too, in one line; empty where there is nothing."""
    agent = pages[path].agent
    for other_path, other in ((known, page.agent) for known, page in pages.items() if known != path):
        if other.name == agent.name:
            return f"{path}: the name {agent.name!r} is taken by {other_path}: each agent needs its own."
        taken = {_digits(number) for number in other.numbers}
        if number := next((number for number in agent.numbers if _digits(number) in taken), ""):
            return f"{path}: the number {number} belongs to the agent in {other_path} already."
    return ""


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)
