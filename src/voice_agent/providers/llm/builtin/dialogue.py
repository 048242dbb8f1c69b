"""The dialogue as the built-in model reads it: everything it knows is in the request's messages.

The *turn* being answered is the last caller message; what the agent said after it (asking for a PIN, confirming it) does
not answer it. Tool results after it belong to it, and only to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voice_agent.models import CONFIRMATION_REQUIRED, Message, Role, ToolCall, ToolResult, ToolStatus

# Secrets, and what stands for one; an address, a telephone number and the like are an answer.
_SECRETS_ONLY = re.compile(r"^\W*(?:\[(?!ADDRESS|PHONE|EMAIL|BIRTHDAY)[^\]]*\]\W*)+$")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """``before`` are the messages ahead of the turn; ``after`` those that followed it in the same turn."""

    messages: tuple[Message, ...]
    turn_at: int
    verified: bool

    @property
    def before(self) -> tuple[Message, ...]:
        return self.messages[: self.turn_at]

    @property
    def after(self) -> tuple[Message, ...]:
        return self.messages[self.turn_at + 1 :]

    @property
    def text(self) -> str:
        """The caller's words; "" where nobody has spoken yet."""
        return self.messages[self.turn_at].text if self.turn_at < len(self.messages) else ""

    @property
    def turn(self) -> int:
        """How many caller turns came before; picks template variants."""
        return sum(1 for message in self.before if message.role is Role.CALLER)

    def earlier_turns(self) -> list[str]:
        """Earlier caller turns, newest first."""
        return [message.text for message in reversed(self.before) if is_spoken_turn(message)]

    def last_agent(self) -> Message | None:
        """What the agent said before this turn."""
        return next((m for m in reversed(self.before) if m.role is Role.AGENT and m.text), None)

    def agent_texts(self) -> list[str]:
        """The agent's earlier words, newest first."""
        return [m.text for m in reversed(self.before) if m.role is Role.AGENT and m.text]

    def result_of(self, name: str, arguments: str) -> ToolResult | None:
        """The newest result of this very call within the turn. A refusal for want of identity is forgotten once the
        caller is verified."""
        wanted = _canonical(arguments)
        calls = {call.call_id: call for message in self.after for call in message.tool_calls}
        for message in reversed(self.after):
            result = message.tool_result
            if result is None or result.name != name:
                continue
            call = calls.get(result.call_id)
            if call is not None and _canonical(call.arguments) != wanted:
                continue
            if result.status is ToolStatus.DENIED and result.reason == "identity_required" and self.verified:
                continue
            return result
        return None

    def last_calls(self, name: str) -> list[tuple[str, ToolCall]]:
        """The newest earlier calls of a tool, newest first, as far back as no other tool was called; each with the caller's
        words that it served."""
        found: list[tuple[str, ToolCall]] = []
        pending: list[ToolCall] = []
        for message in reversed(self.before):
            for call in reversed(message.tool_calls):
                if call.name != name:
                    return found
                pending.append(call)
            if is_spoken_turn(message):
                found += [(message.text, call) for call in pending]
                pending = []
        return found

    def best_title(self, call: ToolCall) -> str:
        """The title of the document that a search found best."""
        for message in self.messages:
            result = message.tool_result
            if result is not None and result.call_id == call.call_id:
                passages = result.data.get("passages")
                if isinstance(passages, list) and passages and isinstance(passages[0], Mapping):
                    return str(passages[0].get("title", "")).partition(":")[0]
        return ""

    def calls_so_far(self) -> int:
        return sum(len(message.tool_calls) for message in self.messages)

    def agreed(self) -> tuple[ToolCall, ToolResult] | None:
        """The call that the caller has just agreed to, and what came of it: it was put before them, and now it was made."""
        asked = {
            (call.name, str(_canonical(call.arguments)))
            for call, result in _exchanges(self.before)
            if result.reason == CONFIRMATION_REQUIRED
        }
        for call, result in _exchanges(self.after):
            if (call.name, str(_canonical(call.arguments))) in asked and result.status is not ToolStatus.DENIED:
                return call, result
        return None

    def has_listed(self, name: str) -> bool:
        """Whether that tool has brought a whole list before: it was called without arguments."""
        return any(
            call.name == name and result.status is ToolStatus.OK and not _canonical(call.arguments)
            for call, result in _exchanges(self.before)
        )

    def before_turn(self) -> Dialogue | None:
        """The dialogue as it stood when the caller had said the words before these."""
        for index in range(self.turn_at - 1, -1, -1):
            if is_spoken_turn(self.messages[index]):
                return Dialogue(self.messages[: index + 1], index, self.verified)
        return None

    def until_last_agent(self) -> Dialogue | None:
        """The dialogue as it stood when the agent's last words before this turn were asked for."""
        for index in range(self.turn_at - 1, -1, -1):
            message = self.messages[index]
            if message.role is Role.AGENT and message.text:
                return read_dialogue(self.messages[:index], verified=self.verified)
        return None


def read_dialogue(messages: Sequence[Message], *, verified: bool) -> Dialogue:
    spoken = tuple(message for message in messages if message.role is not Role.SYSTEM)
    turn_at = next((i for i in range(len(spoken) - 1, -1, -1) if is_spoken_turn(spoken[i])), len(spoken))
    return Dialogue(spoken, turn_at, verified)


def is_spoken_turn(message: Message) -> bool:
    """A caller message with words of its own; one that is only a placeholder for a secret asks nothing."""
    return message.role is Role.CALLER and bool(message.text.strip()) and not _SECRETS_ONLY.match(message.text)


def _exchanges(messages: Sequence[Message]) -> Iterator[tuple[ToolCall, ToolResult]]:
    """Calls with their results."""
    calls = {call.call_id: call for message in messages for call in message.tool_calls}
    for message in messages:
        if message.tool_result is not None and message.tool_result.call_id in calls:
            yield calls[message.tool_result.call_id], message.tool_result


def _canonical(arguments: str) -> Mapping[str, Any] | str:
    try:
        parsed = json.loads(arguments or "{}")
    except ValueError:
        return arguments
    return parsed if isinstance(parsed, dict) else arguments
