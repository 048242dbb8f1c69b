"""A language model over streaming chat completions, at OpenAI or any server that offers the same endpoint.

Deadlines for first and further tokens, retries and other providers are the chain's; here only connecting has one. A server
that refuses an optional parameter (reasoning models refuse ``temperature``; each kind of server knows one name of the token
limit) is asked again without it, and not given it again in this process.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import orjson

from voice_agent.errors import ProviderError
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.providers.openai_api.account import Account
from voice_agent.providers.openai_api.deltas import MAX_ANSWER_CHARS, Deltas
from voice_agent.providers.openai_api.errors import (
    Failure,
    empty_error,
    protocol_error,
    told_failure,
    transport_error,
)
from voice_agent.providers.openai_api.messages import chat_messages, chat_tools
from voice_agent.providers.openai_api.sse import EventStream
from voice_agent.providers.web import Answer

_DONE: Final = b"[DONE]"
# Optional parameters, and what stands in for them where a server refuses them (``None``: nothing).
_INSTEAD: Final[Mapping[str, str | None]] = {
    "temperature": None,
    "stream_options": None,
    "reasoning_effort": None,
    "max_tokens": "max_completion_tokens",
    "max_completion_tokens": "max_tokens",
}
_REFUSAL: Final = re.compile(
    r"unsupported|not support|unrecognized|unknown|unexpected|not permitted|forbidden|not allowed|invalid|only the default",
    re.IGNORECASE,
)


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
        self._options: dict[str, Any] = {
            "stream_options": {"include_usage": True},
            settings.limit_name: settings.max_tokens,
            "temperature": settings.temperature,
        }
        if settings.reasoning_effort:
            self._options["reasoning_effort"] = settings.reasoning_effort

    async def warm_up(self) -> None:
        await self._account.warm_up()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Text as it is written, then the tool calls, then the finish. Raises ``ProviderError``."""
        answer = await self._ask(request)
        try:
            deltas = Deltas()
            async with aclosing(self._events(answer, deltas)) as events:
                async for event in events:
                    if text := self._fed(deltas, event):
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
        """The answer's head, of a request that the server takes. Remembers which options it does not."""
        body: dict[str, Any] = {"model": self._settings.model, "stream": True}
        if request.tools:
            body["tools"] = chat_tools(request.tools)
        body["messages"] = chat_messages(request.messages)
        options = dict(self._options)
        refused: set[str] = set()
        while True:
            answer = await self._account.post("/chat/completions", {**body, **options})
            if answer.status == 200:
                self._options = options if refused else self._options
                return answer
            try:
                failure = await self._account.failure(answer)
            finally:
                await answer.aclose()
            name = _refused_option(failure, [option for option in options if option not in refused])
            if name is None:
                raise self._told_error(failure)
            refused.add(name)
            value, instead = options.pop(name), _INSTEAD[name]
            if instead is not None and instead not in refused:
                options[instead] = value

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
            raise self._told_error(told_failure(error))
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

    def _told_error(self, failure: Failure) -> ProviderError:
        settings = self._settings
        return failure.error(self._account.peer, model=settings.model, model_variable=settings.model_variable)


def _refused_option(failure: Failure, sent: list[str]) -> str | None:
    """The optional parameter that a refusal is about, of those that were sent."""
    if failure.status not in (400, 422):
        return None
    if failure.param:
        return failure.param if failure.param in sent else None
    if not _REFUSAL.search(failure.text):
        return None
    return next((name for name in sent if re.search(rf"\b{name}\b", failure.text)), None)
