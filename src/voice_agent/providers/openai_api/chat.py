"""A language model over streaming chat completions, at OpenAI or any server that offers the same endpoint.

Deadlines for first and further tokens, retries and other providers are the chain's; here only connecting has one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import orjson

from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.providers.openai_api.account import Account
from voice_agent.providers.openai_api.deltas import MAX_ANSWER_CHARS, Deltas
from voice_agent.providers.openai_api.errors import told_failure
from voice_agent.providers.openai_api.messages import chat_messages, chat_tools
from voice_agent.providers.openai_api.options import Options
from voice_agent.providers.openai_api.sse import EventStream
from voice_agent.providers.peer import empty_error, protocol_error, transport_error
from voice_agent.providers.web import Answer

_DONE: Final = b"[DONE]"
_INSTEAD: Final = {"max_tokens": ("max_completion_tokens", None), "max_completion_tokens": ("max_tokens", None)}


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """``limit_name`` is what the server calls the token limit; ``model_variable`` is the setting that names the model.
    ``reasoning_effort`` empty: not sent."""

    model: str
    temperature: float
    max_tokens: int
    limit_name: str
    model_variable: str
    reasoning_effort: str = ""


class ChatModel:
    """A ``LanguageModel``. Closing a stream closes its connection at once, and the server stops writing."""

    def __init__(self, account: Account, settings: ChatSettings) -> None:
        self._account = account
        self._settings = settings
        options: dict[str, Any] = {
            "stream_options": {"include_usage": True},
            settings.limit_name: settings.max_tokens,
            "temperature": settings.temperature,
        }
        if settings.reasoning_effort:
            options["reasoning_effort"] = settings.reasoning_effort
        self._options = Options(options, _INSTEAD)

    async def warm_up(self) -> None:
        await self._account.warm_up()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Text as it is written, then the tool calls, then the finish. What is written without being said (arguments of
        tool calls, thoughts) gives an empty text, so that whoever waits knows that there is life. Raises
        ``ProviderError``."""
        answer = await self._ask(request)
        try:
            deltas = Deltas()
            async with aclosing(self._events(answer, deltas)) as events:
                async for event in events:
                    text = self._fed(deltas, event)
                    if text or deltas.works_silently:
                        yield TextDelta(text)
            if text := deltas.flush():
                yield TextDelta(text)
            calls = self._finished(deltas)
            await answer.release()
            for call in calls:
                yield call
            yield LlmFinished(deltas.usage)
        finally:
            await self._account.close(answer)

    async def _ask(self, request: LlmRequest) -> Answer:
        body: dict[str, Any] = {"model": self._settings.model, "stream": True}
        if request.tools:
            body["tools"] = chat_tools(request.tools)
        body["messages"] = chat_messages(request.messages)
        return await self._options.ask(
            self._account, "/chat/completions", body, model_variable=self._settings.model_variable
        )

    async def _events(self, answer: Answer, deltas: Deltas) -> AsyncGenerator[Mapping[str, Any], None]:
        """The events up to ``[DONE]``, which completes ``deltas``, or the end of the body. An answer in one piece, from a
        server that does not stream, is one event."""
        import httpx2

        streams = answer.content_type != "application/json"
        if answer.content_type.startswith("text/html"):
            raise protocol_error(self._account.peer, "answers with a web page: its address must end in the API's path")
        parser = EventStream()
        whole: list[bytes] = []
        try:
            async for piece in answer.body():
                if not streams:
                    whole.append(piece)
                    if sum(map(len, whole)) > 4 * MAX_ANSWER_CHARS:
                        raise protocol_error(self._account.peer, "sends an endless answer")
                    continue
                for data in parser.feed(piece):
                    if data == _DONE:
                        deltas.complete = True
                        return
                    yield self._parsed(data)
        except httpx2.HTTPError as error:
            raise transport_error(self._account.peer, error, self._account.connect_s) from error
        except ValueError as error:
            raise protocol_error(self._account.peer, f"sends {error}") from None
        for data in parser.flush() if streams else [b"".join(whole)]:
            if data == _DONE:
                deltas.complete = True
            else:
                yield self._parsed(data)

    def _parsed(self, data: bytes) -> Mapping[str, Any]:
        try:
            event = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise protocol_error(self._account.peer, "sends an event that is no JSON") from None
        if not isinstance(event, dict):
            raise protocol_error(self._account.peer, f"sends an event of type {type(event).__name__}")
        if error := event.get("error"):
            raise told_failure(error).error(
                self._account.peer, model=self._settings.model, model_variable=self._settings.model_variable
            )
        return event

    def _fed(self, deltas: Deltas, event: Mapping[str, Any]) -> str:
        try:
            return deltas.feed(event)
        except ValueError as error:
            raise protocol_error(self._account.peer, f"sends {error}") from None

    def _finished(self, deltas: Deltas) -> list[ToolCallRequested]:
        """The tool calls of an answer that has come to its end. Raises for one that has not, or that says nothing."""
        peer = self._account.peer
        try:
            calls = [ToolCallRequested(call) for call in deltas.calls()]
        except ValueError as error:
            raise protocol_error(peer, f"sends {error}") from None
        if deltas.said or calls:
            if not deltas.complete:
                raise protocol_error(peer, "ended an answer without saying that it is complete")
            return calls
        if deltas.finish_reason == "content_filter":
            raise empty_error(peer, "withheld its answer (content_filter)", retryable=False)
        if deltas.finish_reason == "length":
            told = f"used up LLM_MAX_TOKENS={self._settings.max_tokens} by reasoning, before its answer began: raise it"
            raise empty_error(peer, told, retryable=False)
        raise empty_error(peer, "answered with neither text nor a tool call")
