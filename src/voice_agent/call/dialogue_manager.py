"""One answer: the language model's stream and the tool loop, as speakable segments.

Rounds: the model is asked; its text is cut into segments as it comes; the tools it asks for run side by side; their
results go back for the next round, until a round asks for none. The number of rounds is bounded.

A tool that fails is spoken for in words of its own, never in a model's: after them the answer is over, unless there are
results of other tools, which the model puts into words.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from voice_agent.call.services import CallServices
from voice_agent.call.tool_journal import ToolJournal
from voice_agent.conversation.commands import StartReply
from voice_agent.conversation.events import (
    LlmAnswered,
    LlmFinished,
    LlmStarted,
    ProviderSwitched,
    SegmentWithheld,
    Stage,
    ToolReturned,
)
from voice_agent.conversation.grounding import Claim, Evidence, EvidenceBook
from voice_agent.conversation.locales import LocaleProfile
from voice_agent.conversation.passages import PASSAGE_END
from voice_agent.conversation.sentences import SentenceSegmenter
from voice_agent.errors import ProviderError
from voice_agent.models import CONFIRMATION_REQUIRED, Message, ReplyId, Role, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.chain.base import Switch, SwitchReason
from voice_agent.providers.llm.base import LlmRequest, TextDelta, TextRestarted, ToolCallRequested
from voice_agent.tools.base import IdentityLevel, ToolContext

# After these the call takes another course than this answer: the machine decides what is said.
_CALL_TOOLS = frozenset({"transfer_to_human", "end_call"})

Posted = LlmStarted | LlmAnswered | LlmFinished | SegmentWithheld | ProviderSwitched

# A model that goes on and on, or asks for everything at once, has lost its way: nobody listens to minutes of speech.
MAX_TEXT_CHARS = 4000
MAX_CALLS_A_ROUND = 8


log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Round:
    """What one round of the model wrote and asked for."""

    reply_id: ReplyId
    number: int
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    withheld: tuple[Claim, ...] = ()
    usage: Mapping[str, int] = field(default_factory=dict)

    def finished(self) -> LlmFinished:
        tokens = self.usage.get
        return LlmFinished(
            self.reply_id,
            self.number,
            self.text,
            tuple(self.calls),
            tokens("input_tokens", 0),
            tokens("output_tokens", 0),
        )


class DialogueManager:
    """Writes one reply. Tools that change something wait until ``certain`` is set. ``mask`` is applied to tool results
    before they become events, and before the model sees those that are not public. ``evidence`` is the call's."""

    def __init__(
        self,
        services: CallServices,
        context: ToolContext,
        journal: ToolJournal,
        post: Callable[[Posted], None],
        *,
        locale: LocaleProfile,
        mask: Callable[[ToolReturned], ToolReturned],
        certain: asyncio.Event,
        evidence: EvidenceBook,
    ) -> None:
        self._services = services
        self._context = context
        self._journal = journal
        self._post = post
        self._system = Message(Role.SYSTEM, locale.system_prompt)
        self._prompts = locale.prompts
        self._mask = mask
        self._certain = certain
        self._evidence = evidence
        self._failed: set[str] = set()  # models that failed in this reply: its further rounds ask the others first

    async def segments(self, command: StartReply, history: tuple[Message, ...]) -> AsyncGenerator[str, None]:
        """Speakable segments, in order. Where no model puts a tool's result into words, the tool's own summary is spoken.
        Raises ``ProviderError`` where no model answers and there is none. Closing it stops the generation; a running tool
        goes on (see ``ToolJournal``)."""
        rounds_at_most = self._services.settings.max_tool_rounds
        messages = [self._system, *history]
        results: list[ToolResult] = []
        spoken = asked_again = False
        if command.confirmed is not None:
            results = await self._run_tools(command.reply_id, [command.confirmed], confirmed=True)
            for excuse in self._excuses(results):
                spoken = True
                yield excuse
            if spoken:
                return
            messages += _exchange("", [command.confirmed], results)
        for number in range(1, rounds_at_most + 1):
            request = LlmRequest(
                messages=tuple(messages),
                tools=() if number == rounds_at_most else self._services.tools.definitions(self._context.tools),
                locale=self._context.locale,
                open_question=command.open_question,
                verified=command.verified,
            )
            written = _Round(command.reply_id, number)
            spoken_before = spoken
            try:
                async with aclosing(self._write(request, written)) as segments:
                    async for segment in segments:
                        spoken = True
                        yield segment
            except ProviderError:
                summaries = self._summaries(results)
                if not summaries or spoken != spoken_before:
                    raise
                for summary in summaries:
                    yield summary
                return
            if written.withheld:
                again = not spoken and not asked_again and number < rounds_at_most
                kinds = tuple(dict.fromkeys(claim.kind for claim in written.withheld))
                self._post(SegmentWithheld(command.reply_id, kinds, again))
                if not again:
                    yield self._prompts.not_certain
                    return
                asked_again = True
                messages.append(Message(Role.SYSTEM, _not_known(written.withheld)))
                continue
            if not written.calls:
                return
            results = await self._run_tools(command.reply_id, written.calls)
            if any(_changes_course(result) for result in results):
                return
            excuses = self._excuses(results)
            for excuse in excuses:
                spoken = True
                yield excuse
            if excuses and _all_failed(results):
                return
            messages += _exchange(written.text, written.calls, results)

    async def _write(self, request: LlmRequest, written: _Round) -> AsyncGenerator[str, None]:
        """One round of the model: its segments as they come, the rest into ``written``."""
        self._post(LlmStarted(written.reply_id, written.number))
        segmenter = SentenceSegmenter()
        evidence = self._evidence.of(request.messages) if self._services.settings.grounding else None
        spoken = answered = False
        stream = self._services.language_model.stream(request, self._switched, last=tuple(self._failed))
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, TextRestarted):
                    segmenter = SentenceSegmenter()
                    written.text, written.calls = "", []
                    if spoken:  # a passage that was open ends here
                        yield PASSAGE_END + self._prompts.start_again
                    continue
                if not answered and isinstance(event, TextDelta | ToolCallRequested):
                    answered = True
                    self._post(LlmAnswered(written.reply_id, written.number))
                if isinstance(event, TextDelta):
                    written.text += event.text
                    for segment in segmenter.push(event.text):
                        if self._withholds(segment, evidence, written):
                            break
                        spoken = True
                        yield segment
                    if written.withheld or len(written.text) > MAX_TEXT_CHARS:
                        break
                elif isinstance(event, ToolCallRequested):
                    if len(written.calls) < MAX_CALLS_A_ROUND:
                        written.calls.append(event.call)
                else:
                    written.usage = event.usage
        for segment in () if written.withheld else segmenter.flush():
            if self._withholds(segment, evidence, written):
                break
            yield segment
        if written.withheld:
            written.text, written.calls = "", []
        self._post(written.finished())

    def _withholds(self, segment: str, evidence: Evidence | None, written: _Round) -> bool:
        if evidence is not None:
            written.withheld = evidence.ungrounded(segment)
        return bool(written.withheld)

    def _switched(self, switch: Switch) -> None:
        if switch.reason is not SwitchReason.RECOVERED:
            self._failed.add(switch.previous)
        self._post(ProviderSwitched(Stage.LLM, switch.previous, switch.provider, switch.reason.value))

    async def _run_tools(
        self, reply_id: ReplyId, calls: list[ToolCall], *, confirmed: bool = False
    ) -> list[ToolResult]:
        if any(self._journal.writes(call.name) for call in calls):
            await self._certain.wait()
        results = await asyncio.gather(
            *(self._journal.run(reply_id, call, self._context, confirmed=confirmed) for call in calls)
        )
        return [self._for_model(ToolReturned(reply_id, result)) for result in results]

    def _for_model(self, returned: ToolReturned) -> ToolResult:
        return returned.result if self._is_public(returned.result.name) else self._mask(returned).result

    def _summaries(self, results: list[ToolResult]) -> list[str]:
        """What tools have to say of their own results, where they have it."""
        found = []
        for result in results:
            tool = self._services.tools.find(result.name)
            if tool is not None and tool.summary is not None and result.status is ToolStatus.OK:
                try:
                    found.append(tool.summary(result.data))
                except Exception:  # a summary is a tool's own code, which may meet masked or missing data
                    log.exception("a tool's summary failed", tool=result.name)
        return [summary for summary in found if summary]

    def _excuses(self, results: list[ToolResult]) -> list[str]:
        """What is said of the tools that failed."""
        excuses = list(dict.fromkeys(r.spoken for r in results if r.status is ToolStatus.FAILED and r.spoken))
        if excuses and _all_failed(results) and not any(result.name in _CALL_TOOLS for result in results):
            excuses.append(self._prompts.offer_colleague)
        return excuses

    def _is_public(self, tool_name: str) -> bool:
        """What anyone may read is no personal data: the shop's own e-mail address must be spoken as it is."""
        tool = self._services.tools.find(tool_name)
        return tool is not None and tool.read_only and tool.identity is IdentityLevel.NONE


def _not_known(claims: tuple[Claim, ...]) -> str:
    listed = ", ".join(f"{claim.kind.value} {claim.value}" for claim in claims)
    return (
        f"Your answer was not spoken, because it claims what no tool result of this call says: {listed}. Answer again, "
        "only from tool results; call a tool if one can tell; else say that you do not know."
    )


def _exchange(text: str, calls: list[ToolCall], results: list[ToolResult]) -> list[Message]:
    """What a model asked for and got, as messages."""
    asked = Message(Role.AGENT, text, tool_calls=tuple(calls))
    return [asked, *(Message(Role.TOOL, "", tool_result=result) for result in results)]


def _all_failed(results: list[ToolResult]) -> bool:
    return all(result.status is ToolStatus.FAILED for result in results)


def _changes_course(result: ToolResult) -> bool:
    if result.status is ToolStatus.DENIED:
        return result.reason in ("identity_required", CONFIRMATION_REQUIRED)
    return result.status is ToolStatus.OK and result.name in _CALL_TOOLS
