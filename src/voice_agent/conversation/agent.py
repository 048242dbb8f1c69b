"""The agent that takes a call: who it is, and all in which it differs from what the server is set to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from voice_agent.conversation.agent_rules import AgentRules, for_locale
from voice_agent.conversation.locales import LocaleProfile, resolve_locale
from voice_agent.conversation.machine import MachineSettings
from voice_agent.models import ALL_TOOLS, ToolScope


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """As in ``MachineSettings``, durations in seconds; None: as the server is set."""

    max_turns: int | None = None
    max_failures: int | None = None
    session_ttl_s: float | None = None
    turn_timeout_s: float | None = None
    idle_prompt_s: float | None = None
    idle_hangup_s: float | None = None


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """One agent. The defaults are those of a server without agent files.

    ``title`` is its name for people, ``numbers`` are the telephone numbers it answers. ``default_locale`` is that of callers
    who name none. ``personas``, ``voices`` and ``keywords`` are keyed by language ("es") or tag ("es-MX"); a voice is a name
    that the synthesis provider knows, keywords are what recognition should expect to hear. ``knowledge`` are the collections
    it answers from (empty: the server's own). ``desks`` tells what each of its handover targets is for.
    """

    rules: AgentRules = field(default_factory=AgentRules)
    title: str = ""
    numbers: tuple[str, ...] = ()
    default_locale: str = ""
    personas: Mapping[str, str] = field(default_factory=dict)
    voices: Mapping[str, str] = field(default_factory=dict)
    keywords: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tools: ToolScope = ALL_TOOLS
    knowledge: tuple[str, ...] = ()
    desks: Mapping[str, str] = field(default_factory=dict)
    limits: AgentLimits = field(default_factory=AgentLimits)
    order_number_digits: int | None = None

    @property
    def name(self) -> str:
        return self.rules.name

    def machine_settings(self, base: MachineSettings) -> MachineSettings:
        """The server's settings as they are for this agent's calls."""
        endpointing = base.endpointing
        if self.order_number_digits is not None:
            endpointing = replace(endpointing, order_digits=self.order_number_digits)
        limits: dict[str, Any] = {limit.name: getattr(self.limits, limit.name) for limit in fields(self.limits)}
        given = {name: value for name, value in limits.items() if value is not None}
        return replace(base, agent=self.rules, endpointing=endpointing, **given)

    def locale_tag(self, requested: str, usual: str) -> str:
        """The locale of a call: what the client asked for, else the agent's own, else the server's ``usual`` one."""
        return requested or self.default_locale or usual

    def locale(self, requested: str) -> LocaleProfile:
        """The row of the locale table for a call of this agent, its own words, voice and keywords in it."""
        row = self.rules.in_own_words(resolve_locale(requested or self.default_locale))
        keywords = for_locale(self.keywords, row.tag) or ()
        return replace(
            row,
            voice=for_locale(self.voices, row.tag) or row.voice,
            asr_hints=tuple(dict.fromkeys((*keywords, *row.asr_hints))),
            system_prompt=self._system_prompt(row),
        )

    def _system_prompt(self, row: LocaleProfile) -> str:
        """Who the agent is, how it speaks, where it can hand over. A persona in another language is better than none."""
        known = (for_locale(self.personas, tag) for tag in (row.tag, self.default_locale))
        persona = next(filter(None, (*known, *self.personas.values())), "")
        parts = [persona, row.system_prompt]
        if self.desks:
            listed = "; ".join(f"{name}: {purpose}" for name, purpose in self.desks.items())
            parts.append(f"Targets of transfer_to_human: {listed}.")
        return "\n".join(part for part in parts if part)
