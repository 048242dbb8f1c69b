"""The language model protocol: a dialogue in, a stream of text and tool calls out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from voice_agent.models import Message, OpenQuestion, ToolCall


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as a model sees it; ``parameters`` is a JSON schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One round. ``messages`` begin with the system prompt and end with a caller turn or tool results.

    ``open_question`` is what the agent's previous words asked for; ``verified`` tells whether the caller's identity is
    proven (the tool router enforces it whatever the model does with it).
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...] = ()
    locale: str = "en-US"
    open_question: OpenQuestion = OpenQuestion.NONE
    verified: bool = False


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallRequested:
    call: ToolCall


@dataclass(frozen=True, slots=True)
class LlmFinished:
    """Last event of a stream. ``usage`` holds token counts where the provider tells them."""

    usage: Mapping[str, int] = field(default_factory=dict)


LlmEvent = TextDelta | ToolCallRequested | LlmFinished


class LanguageModel(Protocol):
    """Shared by the process. Closing the iterator stops the generation. Raises ``ProviderError``."""

    async def warm_up(self) -> None: ...

    def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]: ...
