"""The agents of a server: read from files, looked up for each call, read again when a file changes.

Rules:

1. A call keeps the agent it began with. What changes in a file holds for calls that begin after it was read.
2. At the start every file must be right. Later a file that is not right is said in the log, and its agent stays as it was;
   one that is gone takes its agent away, unless it is the one that answers calls which name none.
3. No two agents have one name or one number.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from voice_agent.agents.agent_file import load_agent
from voice_agent.conversation.agent import AgentProfile
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
        agents = [page.agent for page in self._pages.values()] or [self.default]
        return tuple(sorted(agents, key=lambda agent: agent.name))

    def choose(self, name: str, called: str) -> AgentProfile:
        """Who takes a call: the agent of this name, else the one with the number that was called, else ``default``. Raises
        ``CallerError`` for a name that no agent has."""
        if name:
            agent = next((agent for agent in self.all() if agent.name == name), None)
            if agent is None:
                raise CallerError("agent: there is no agent of this name")
            return agent
        dialled = _digits(called)
        answering = (a for a in self.all() if dialled and any(_digits(number) == dialled for number in a.numbers))
        return next(answering, self.default)

    async def watch(self, every_s: float, on_change: Callable[[AgentProfile], None]) -> None:
        """Reads changed files again until cancelled; ``on_change`` gets every agent that is new or has changed."""
        while self._source is not None:
            await asyncio.sleep(every_s)
            for agent in await asyncio.to_thread(self.reload):
                on_change(agent)

    def reload(self) -> tuple[AgentProfile, ...]:
        """Reads what has changed on disk; gives the agents that are new or have changed. Blocks on the disk; raises
        nothing."""
        if self._source is None:
            return ()
        try:
            files = _files(self._source)
        except ConfigError as error:
            if self._seen:
                _log.warning("the agents stay as they are", error=str(error))
            self._seen = {}
            return ()
        if files == self._seen:
            return ()
        self._seen = files
        self._forget_gone(files)
        changed, refused = self._read_changed(files)
        while refused:  # one that clashed with another as it was may fit now that the other has been read
            more, still = self._read_changed(files)
            if not more:
                break
            changed, refused = changed + more, still
        for path, problem in refused.items():
            _log.warning("an agent file is wrong, its agent stays as it was", file=str(path), error=problem)
        return tuple(changed)

    def _read_changed(self, files: Snapshot) -> tuple[list[AgentProfile], dict[Path, str]]:
        """The agents of changed files, and what is wrong with those that cannot be used."""
        changed: list[AgentProfile] = []
        refused: dict[Path, str] = {}
        for path, signature in files.items():
            page = self._pages.get(path)
            if page is not None and page.signature == signature:
                continue
            try:
                agent = self._checked(path, files)
            except ConfigError as error:
                refused[path] = str(error)
                continue
            others = {known: other for known, other in self._pages.items() if other.agent.name != agent.name}
            self._pages = {**others, path: _Page(signature, agent)}
            if agent.name == self.default.name:
                self.default = agent
            changed.append(agent)
            _log.info("agent read", agent=agent.name, file=str(path))
        return changed, refused

    def _checked(self, path: Path, files: Snapshot) -> AgentProfile:
        agent = load_agent(path)
        page = self._pages.get(path)
        if page is not None and page.agent.name == self.default.name != agent.name:
            raise ConfigError(f"{path}: {self.default.name!r} answers calls that name no agent, so it keeps its name.")
        _refuse_clash(path, agent, {known: p.agent for known, p in self._pages.items() if known in files})
        return agent

    def _forget_gone(self, files: Snapshot) -> None:
        for path, page in self._pages.items():
            if path in files:
                continue
            if page.agent.name == self.default.name:
                _log.warning("the default agent's file is gone, the agent stays as it was", file=str(path))
            else:
                _log.info("agent gone", agent=page.agent.name, file=str(path))
        self._pages = {
            path: page for path, page in self._pages.items() if path in files or page.agent.name == self.default.name
        }


def open_agents(source: Path | None, default: str = "") -> AgentBook:
    """Reads a file, or every YAML file of a folder; None gives the shipped agent alone. ``default`` names the agent that
    answers calls which name none; it may be left out where there is only one, or one named "default".

    Blocks on the disk. Raises ``ConfigError`` with file and line.
    """
    if source is None:
        shipped = load_agent(None)
        if default not in ("", shipped.name):
            raise ConfigError(f"DEFAULT_AGENT={default!r} needs AGENTS: without it {shipped.name!r} is the only agent.")
        return AgentBook(shipped)
    pages: dict[Path, _Page] = {}
    for path, signature in _files(source).items():
        agent = load_agent(path)
        _refuse_clash(path, agent, {known: page.agent for known, page in pages.items()})
        pages[path] = _Page(signature, agent)
    if not pages:
        raise ConfigError(f"AGENTS={str(source)!r} is a folder without agent files: put one there (*.yaml).")
    return AgentBook(_default_of([page.agent for page in pages.values()], default), source, pages)


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


def _files(source: Path) -> dict[Path, tuple[int, int]]:
    """The agent files there are, with their signatures. Raises ``ConfigError``."""
    try:
        if source.is_dir():
            paths = sorted(path for kind in _KINDS for path in source.glob(kind) if not path.name.startswith("."))
        elif source.exists():
            paths = [source]
        else:
            raise ConfigError(f"AGENTS={str(source)!r} is neither a file nor a folder.")
        if len(paths) > MAX_FILES:
            raise ConfigError(f"AGENTS={str(source)!r} holds {len(paths)} files: at most {MAX_FILES} are read.")
        found: dict[Path, tuple[int, int]] = {}
        for path in paths:
            status = path.stat()
            found[path] = (status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise ConfigError(f"AGENTS={str(source)!r} cannot be read: {error.strerror}.") from None
    return found


def _refuse_clash(path: Path, agent: AgentProfile, known: Mapping[Path, AgentProfile]) -> None:
    for other_path, other in known.items():
        if other_path == path:
            continue
        if other.name == agent.name:
            raise ConfigError(f"{path}: the name {agent.name!r} is taken by {other_path}: each agent needs its own.")
        taken = {_digits(number) for number in other.numbers}
        for number in agent.numbers:
            if _digits(number) in taken:
                raise ConfigError(f"{path}: the number {number} belongs to the agent in {other_path} already.")


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)
