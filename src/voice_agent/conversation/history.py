"""The dialogue as it was heard.

Rules:
1. An agent message holds what the caller heard of it, no more; a cut one is marked ``interrupted``.
2. A tool call enters only together with its result, so a model never sees a call without an answer. A result stays
   even when the reply that asked for it was cancelled.
3. A secret never enters. The exchange about it is an *aside*: part of the transcript, not of what a model sees, so that
   the request made before the secret is what the model answers after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from voice_agent.models import Message, Role, ToolCall, ToolResult

# Enough dialogue for any support call; bounds what a model is sent, in messages.
_MODEL_WINDOW = 40


@dataclass(slots=True)
class DialogueHistory:
    entries: list[Message] = field(default_factory=list)
    _asides: set[int] = field(default_factory=set)
    _repeats: set[int] = field(default_factory=set)

    def add_caller(self, text: str, *, aside: bool = False) -> None:
        self._append(Message(Role.CALLER, text), aside)

    def set_aside_newest_caller(self) -> None:
        """The caller's newest words turned out to belong to the exchange about a secret."""
        for index in range(len(self.entries) - 1, -1, -1):
            if self.entries[index].role is Role.CALLER:
                self._asides.add(index)
                return

    def repeat_request(self, text: str) -> None:
        """Puts a request that waited for the secret where a model answers it: at the end. The transcript has it once."""
        if self.requests()[-1:] != (text,) or self.window()[-1].role is not Role.CALLER:
            self._repeats.add(len(self.entries))
            self.entries.append(Message(Role.CALLER, text))

    def take_back_caller(self) -> str:
        """Removes the newest caller message because the caller goes on with it; gives its text ("" if there is none)."""
        for index in range(len(self.entries) - 1, -1, -1):
            entry = self.entries[index]
            if entry.role is Role.CALLER and index not in self._asides:
                self._asides = {i - 1 if i > index else i for i in self._asides}
                self._repeats = {i - 1 if i > index else i for i in self._repeats if i != index}
                return self.entries.pop(index).text
            if entry.text:
                break
        return ""

    def add_agent(self, text: str, *, interrupted: bool = False, confidence: float = 1.0, aside: bool = False) -> None:
        """``confidence`` is how likely an interrupted text was cut at the right word."""
        if text:
            self._append(Message(Role.AGENT, text, interrupted=interrupted, heard_confidence=confidence), aside)

    def add_tool(self, call: ToolCall, result: ToolResult) -> None:
        self.entries.append(Message(Role.AGENT, "", tool_calls=(call,)))
        self.entries.append(Message(Role.TOOL, "", tool_result=result))

    def window(self) -> tuple[Message, ...]:
        """The newest messages for a model, never beginning with a tool result torn from its call."""
        recent = [entry for index, entry in enumerate(self.entries) if index not in self._asides][-_MODEL_WINDOW:]
        while recent and recent[0].role is Role.TOOL:
            recent = recent[1:]
        return tuple(recent)

    def transcript(self) -> tuple[tuple[str, str], ...]:
        """(speaker, text) of everything spoken, in order."""
        return tuple(
            (entry.role.value, entry.text)
            for index, entry in enumerate(self.entries)
            if entry.text and index not in self._repeats
        )

    def requests(self) -> tuple[str, ...]:
        """What the caller said, asides left out, oldest first."""
        return tuple(
            entry.text
            for index, entry in enumerate(self.entries)
            if entry.role is Role.CALLER and index not in self._asides and index not in self._repeats
        )

    def tool_results(self) -> tuple[ToolResult, ...]:
        return tuple(entry.tool_result for entry in self.entries if entry.tool_result is not None)

    def _append(self, message: Message, aside: bool) -> None:
        if aside:
            self._asides.add(len(self.entries))
        self.entries.append(message)
