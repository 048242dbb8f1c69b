"""How a call is made for a door, and what is done about an agent that was read."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import structlog

from voice_agent import __version__
from voice_agent.agents.agent_file import ALWAYS
from voice_agent.agents.doubts import doubts_of
from voice_agent.call.door import Door, LiveCall
from voice_agent.call.phrases import FixedPhrases
from voice_agent.call.services import CallServices
from voice_agent.call.session import CallSession
from voice_agent.conversation.agent import AgentProfile
from voice_agent.conversation.locales import LocaleProfile
from voice_agent.gateway.admission import Ticket
from voice_agent.models import CallId
from voice_agent.observability.event_file import EventFileWriter
from voice_agent.observability.event_log import call_header
from voice_agent.observability.lifecycle_log import log_sink
from voice_agent.observability.metrics import CallMetrics
from voice_agent.observability.record import RecordSink
from voice_agent.rag.pipeline import KnowledgeBase
from voice_agent.tools.registry import ToolRegistry

log = structlog.get_logger(__name__)


class CallOpener:
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
        return agent.locale(agent.locale_tag(requested, self._default_locale))

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
        self._phrases.want(self.locale_of(agent, locale), agent.name)
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
            locale=agent.locale_tag(locale, self._default_locale),
            agent=agent,
            sinks=sinks,
        )


class AgentReaders:
    """What is done about an agent that was read: doubts are told, what it will say first is prepared."""

    def __init__(
        self,
        tools: ToolRegistry,
        knowledge: KnowledgeBase | None,
        phrases: FixedPhrases,
        opener: CallOpener,
        secret_lengths: frozenset[int],
    ) -> None:
        self._tools = tools
        self._secret_lengths = secret_lengths
        self._knowledge = knowledge
        self._phrases = phrases
        self._opener = opener

    async def take_in(self, agent: AgentProfile) -> None:
        self._phrases.want(self._opener.locale_of(agent, ""), agent.name)
        await self.look_over(agent)

    def take_out(self, agent: str) -> None:
        """The agent is gone."""
        self._phrases.drop(agent)

    async def look_over(self, agent: AgentProfile) -> None:
        """Says what the agent names and this server lacks: a misspelt name, or something that is still to come."""
        known = {tool.name for tool in self._tools}
        if missing := sorted((agent.tools.only or frozenset()) - known - ALWAYS):
            log.warning("an agent names tools that this server does not have", agent=agent.name, tools=missing)
        for doubt in doubts_of(agent, secret_lengths=self._secret_lengths):
            log.info("an agent file is doubtful", agent=agent.name, doubt=doubt)
        if self._knowledge is not None:
            lacking = [name for name in agent.knowledge if not await self._knowledge.has(name)]
            if lacking:
                log.warning("an agent names collections that hold nothing", agent=agent.name, collections=lacking)
