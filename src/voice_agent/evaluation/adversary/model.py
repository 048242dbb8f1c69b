"""The hostile model: follows its script round by round, and keeps all it was shown."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

from voice_agent.evaluation.adversary.attacks import Asked
from voice_agent.models import ToolCall, ToolResult
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta, ToolCallRequested


class ScriptedModel:
    """A ``LanguageModel`` for one call. ``shown`` is every text that reached it, ``results`` every tool result."""

    def __init__(self, rounds: tuple[tuple[Asked, ...], ...], text: str) -> None:
        self._rounds: Iterator[tuple[Asked, ...]] = iter(rounds)
        self._text = text
        self._ids = itertools.count(1)
        self.shown: set[str] = set()
        self.results: dict[str, ToolResult] = {}

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        for message in request.messages:
            self.shown.add(message.text)
            if message.tool_result is not None:
                self.results[message.tool_result.call_id] = message.tool_result
        asked = next(self._rounds, ()) if request.tools else ()
        if not asked:
            yield TextDelta(self._text)
        for tool, arguments in asked:
            yield ToolCallRequested(ToolCall(f"call-{next(self._ids)}", tool, arguments))
        yield LlmFinished()
