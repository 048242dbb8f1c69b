"""What is in hand: the request that the agent's last words were about, and all that the caller has said for it.

A request can take several turns: which order, in what condition, is that right? Each of the agent's questions belongs to
an intent (``questions`` and ``offered`` in the brain file; a tool's own question belongs to the intent that needs the tool).
An answer to it goes on with that intent, and so did the turns before it, as far back as the agent was asking.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from voice_agent.conversation.spoken_forms.heard import yes_or_no
from voice_agent.models import CONFIRMATION_REQUIRED, Role
from voice_agent.providers.llm.builtin.brain_file import BrainFile, IntentEntry, SlotEntry
from voice_agent.providers.llm.builtin.dialogue import Dialogue, is_spoken_turn
from voice_agent.providers.llm.builtin.intents import NO_INTENT, Task
from voice_agent.providers.llm.builtin.slots import SlotReader
from voice_agent.providers.llm.builtin.templates import Phrasebook

_FEW_WORDS = 3  # "my tent please" says which order is meant, whatever it resembles
_SAYS_MORE_WORDS = 12  # a longer answer to an offer is a message of its own


@dataclass(frozen=True, slots=True)
class Thread:
    """``intent``: what is in hand, "" for nothing; ``turns``: what the caller said for it before this turn, newest first."""

    intent: str = ""
    how: Literal["", "asked", "offered", "proposed"] = ""
    question: str = ""
    turns: tuple[str, ...] = ()


class ThreadReader:
    """Shared by the process."""

    def __init__(self, brain: BrainFile, phrases: Phrasebook, slots: SlotReader) -> None:
        self._brain = brain
        self._phrases = phrases
        self._slots = slots
        self._asked_for = {question: name for name, entry in brain.intents.items() for question in entry.questions}
        self._offered = {question: name for name, entry in brain.intents.items() for question in entry.offered}
        self._needing = {entry.tool: name for name, entry in brain.intents.items() if entry.tool}

    def thread(self, dialogue: Dialogue) -> Thread:
        """What is in hand as the caller speaks."""
        intent, how, question = self._in_hand(dialogue)
        turns: list[str] = []
        earlier = dialogue.before_turn() if intent else None
        while earlier is not None:
            turns.append(earlier.text)
            earlier = earlier.before_turn() if self._in_hand(earlier)[0] == intent else None
        return Thread(intent, how, question, tuple(turns))

    def asked(self, dialogue: Dialogue) -> str:
        """What the agent asked last; it stays open while the caller is only given time."""
        last = dialogue.last_agent()
        if last is None:
            return ""
        for text in dialogue.agent_texts():
            if not self._phrases.spoken_as("take_your_time", text):
                return self._phrases.question_in(text, cut=last.interrupted)
        return ""

    def tries(self, dialogue: Dialogue, asked: str) -> str:
        """How often in a row the agent has asked that."""
        count = 0
        for text in dialogue.agent_texts():
            if not asked or self._phrases.question_in(text, cut=False) != asked:
                break
            count += 1
        return ("none", "once")[count] if count < 2 else "often"

    def proposed(self, dialogue: Dialogue) -> str:
        """The tool that waits for the caller's agreement: its question was the last thing the agent said to them, but for
        giving them time. "" where there is none."""
        gives_time = False
        for message in reversed(dialogue.before):
            result = message.tool_result
            if result is not None and result.reason == CONFIRMATION_REQUIRED:
                return result.name
            if message.role is Role.AGENT and message.text:
                gives_time = self._phrases.spoken_as("take_your_time", message.text) is not None
            elif is_spoken_turn(message) and not gives_time:
                return ""
        return ""

    def goes_on(self, thread: Thread, intent: str, text: str, *, points: bool) -> bool:
        """Whether ``text``, by itself of ``intent``, goes on with what is in hand. ``points``: it says which order."""
        if not thread.intent or intent == thread.intent:
            return bool(thread.intent)
        in_hand = self._brain.intents.get(thread.intent)
        if in_hand is not None and in_hand.meant_by(text):
            return False
        said = yes_or_no(text)
        if thread.how == "offered" and said is not None and len(text.split()) <= _SAYS_MORE_WORDS:
            return said
        open_again = self._brain.asks_again if thread.how == "proposed" else self._brain.keeps_open
        asks = self._asks(text)
        if thread.how != "offered" and intent in open_again and not (asks and intent == NO_INTENT):
            return True
        if asks:
            return False
        entry = self._brain.intents.get(intent)
        return self.answers(thread, text, social=entry is not None and entry.social) or (
            points and _says_little_else(text, entry)
        )

    def consumed(self, thread: Thread, text: str) -> bool:
        """Whether ``text`` is an address and the like, whose numbers are no order's."""
        return any(slot.reads and self._slots.value(name, text) for name, slot in self._wanted(thread).items())

    def answers(self, thread: Thread, text: str, *, social: bool = False) -> bool:
        """Whether ``text`` tells a detail that is wanted, or what it is not. ``social``: it is of an intent that holds no
        address."""
        wanted = self._wanted(thread)
        return any(self._slots.speaks_of(name, text) and not (slot.reads and social) for name, slot in wanted.items())

    def without_details(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks of a turn without those that only tell a detail of another one: "return the mugs, they came broken"."""
        return [
            task
            for task in tasks
            if self._asks(task.text)
            or not any(other is not task and self.answers(Thread(other.intent), task.text) for other in tasks)
        ]

    def _asks(self, text: str) -> bool:
        return re.search(self._brain.own_question, text.lower()) is not None

    def _wanted(self, thread: Thread) -> Mapping[str, SlotEntry]:
        entry = self._brain.intents.get(thread.intent)
        asked: Sequence[str] = entry.questions if entry is not None else ()
        return {name: slot for name, slot in self._brain.slots.items() if slot.question in asked}

    def _in_hand(self, dialogue: Dialogue) -> tuple[str, Literal["", "asked", "offered", "proposed"], str]:
        proposed = self._needing.get(self.proposed(dialogue), "")
        if proposed:
            return proposed, "proposed", ""
        asked = self.asked(dialogue)
        if asked in self._asked_for:
            return self._asked_for[asked], "asked", asked
        if asked in self._offered:
            return self._offered[asked], "offered", asked
        return "", "", ""


def _says_little_else(text: str, entry: IntentEntry | None) -> bool:
    return entry is None or entry.social or len(text.split()) <= _FEW_WORDS
