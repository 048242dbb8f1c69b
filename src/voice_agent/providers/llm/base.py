"""The language model protocol: a dialogue in, a stream of text and tool calls out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from voice_agent.models import Message, OpenQuestion, Role, ToolCall


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

    @property
    def after_interruption(self) -> bool:
        """The caller's words interrupted the agent's: what the agent meant to say after them was not heard."""
        newest = next((message for message in reversed(self.messages) if message.role is Role.AGENT), None)
        return newest is not None and newest.interrupted


# What a model without a field for it is told. Plain enough for any model, and no sentence that it might say aloud.
_INTERRUPTED = " [interrupted by the caller here; nothing after this was heard]"
_INTERRUPTED_ABOUT = " [interrupted by the caller about here; nothing after this was heard]"
# Below it the cut may be a word off.
_SURE_CUT = 0.8


def text_for_model(message: Message) -> str:
    """A message's text for a model that knows roles and texts only: an agent message that was cut says so."""
    if not message.interrupted:
        return message.text
    return message.text + (_INTERRUPTED if message.heard_confidence >= _SURE_CUT else _INTERRUPTED_ABOUT)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer. An empty one says that the model is at work on something that is not said."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallRequested:
    call: ToolCall


@dataclass(frozen=True, slots=True)
class LlmFinished:
    """Last event of a stream. ``usage`` holds token counts where the provider tells them."""

    usage: Mapping[str, int] = field(default_factory=dict)


LlmEvent = TextDelta | ToolCallRequested | LlmFinished


@dataclass(frozen=True, slots=True)
class TextRestarted:
    """Another provider begins the answer anew: text given so far that was not spoken yet, and tool calls requested so far,
    are void. Comes from a chain of providers only."""


class LanguageModel(Protocol):
    """Shared by the process. Closing the iterator stops the generation. Raises ``ProviderError``."""

    async def warm_up(self) -> None: ...

    def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]: ...
