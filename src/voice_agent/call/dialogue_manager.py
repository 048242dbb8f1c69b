"""One answer: the language model's stream and the tool loop, as speakable segments.

Rounds: the model is asked; its text is cut into segments as it comes; the tools it asks for run side by side; their
results go back for the next round, until a round asks for none. The number of rounds is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from voice_agent.call.services import CallServices
from voice_agent.call.streams import within
from voice_agent.conversation.commands import StartReply
from voice_agent.conversation.events import (
    LlmFinished,
    LlmStarted,
    ToolReturned,
    ToolStarted,
)
from voice_agent.conversation.sentences import SentenceSegmenter
from voice_agent.models import Message, ReplyId, Role, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.llm.base import LlmEvent, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.tools.base import IdentityLevel, ToolContext

# After these the call takes another course than this answer: the machine decides what is said.
_CALL_TOOLS = frozenset({"transfer_to_human", "end_call"})

Posted = LlmStarted | LlmFinished | ToolStarted | ToolReturned


class DialogueManager:
    """Writes one reply. Tools that change something wait until ``certain`` is set. ``mask`` is applied to tool results
    before they become events, and before the model sees those that are not public."""

    def __init__(
        self,
        services: CallServices,
        context: ToolContext,
        post: Callable[[Posted], None],
        *,
        system_prompt: str,
        mask: Callable[[ToolReturned], ToolReturned],
        certain: asyncio.Event,
    ) -> None:
        self._services = services
        self._context = context
        self._post = post
        self._system = Message(Role.SYSTEM, system_prompt)
        self._mask = mask
        self._certain = certain

    async def segments(self, command: StartReply, history: tuple[Message, ...]) -> AsyncGenerator[str, None]:
        """Speakable segments, in order. Raises ``ProviderError`` where the model fails or stalls. Closing it stops the
        generation and any running tool."""
        settings = self._services.settings
        messages = [self._system, *history]
        for round_number in range(1, settings.max_tool_rounds + 1):
            last_round = round_number == settings.max_tool_rounds
            request = LlmRequest(
                messages=tuple(messages),
                tools=() if last_round else self._services.tools.definitions(),
                locale=self._context.locale,
                open_question=command.open_question,
                verified=command.verified,
            )
            self._post(LlmStarted(command.reply_id, round_number))
            segmenter = SentenceSegmenter()
            text: list[str] = []
            calls: list[ToolCall] = []
            async with aclosing(self._events(request)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        text.append(event.text)
                        for segment in segmenter.push(event.text):
                            yield segment
                    elif isinstance(event, ToolCallRequested):
                        calls.append(event.call)
            for segment in segmenter.flush():
                yield segment
            self._post(LlmFinished(command.reply_id, round_number, "".join(text), tuple(calls)))
            if not calls:
                return
            results = await self._run_tools(command.reply_id, calls)
            if any(_changes_course(result) for result in results):
                return
            messages.append(Message(Role.AGENT, "".join(text), tool_calls=tuple(calls)))
            messages.extend(Message(Role.TOOL, "", tool_result=result) for result in results)

    def _events(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        settings = self._services.settings
        return within(
            self._services.language_model.stream(request),
            first_s=settings.llm_first_s,
            gap_s=settings.llm_gap_s,
            what="the language model",
        )

    async def _run_tools(self, reply_id: ReplyId, calls: list[ToolCall]) -> list[ToolResult]:
        if any(self._writes(call.name) for call in calls):
            await self._certain.wait()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._run_tool(reply_id, call), name=f"tool-{call.name}") for call in calls]
        return [task.result() for task in tasks]

    async def _run_tool(self, reply_id: ReplyId, call: ToolCall) -> ToolResult:
        self._post(ToolStarted(reply_id, call, self._writes(call.name)))
        result = await self._services.router.run(call, self._context)
        returned = self._mask(ToolReturned(reply_id, result))
        self._post(returned)
        return result if self._is_public(call.name) else returned.result

    def _writes(self, tool_name: str) -> bool:
        tool = self._services.tools.find(tool_name)
        return tool is not None and not tool.read_only

    def _is_public(self, tool_name: str) -> bool:
        """What anyone may read is no personal data: the shop's own e-mail address must be spoken as it is."""
        tool = self._services.tools.find(tool_name)
        return tool is not None and tool.read_only and tool.identity is IdentityLevel.NONE


def _changes_course(result: ToolResult) -> bool:
    if result.status is ToolStatus.DENIED:
        return result.reason == "identity_required"
    return result.status is ToolStatus.OK and result.name in _CALL_TOOLS
