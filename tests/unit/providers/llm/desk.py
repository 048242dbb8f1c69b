"""A caller's turn from policy to the answer: the real understanding, model and knowledge base over the test shop."""

from __future__ import annotations

from dataclasses import dataclass

from tests.unit.providers.llm.shop import Conversation, Shop

from voice_agent.conversation.policy import decide
from voice_agent.models import Message, PolicyAction, Role
from voice_agent.providers.llm.base import LanguageModel
from voice_agent.providers.understanding.base import Understanding

_FAILURES = 3


@dataclass(frozen=True)
class Outcome:
    """``kind``: say, pin, human, block or bye; ``text``: the answer, after the PIN where one was asked for."""

    kind: str
    text: str
    tools: tuple[str, ...]


class Desk:
    """One call. The PIN is always right when it is asked for."""

    def __init__(self, model: LanguageModel, understanding: Understanding, shop: Shop) -> None:
        shop.verified = False
        self.talk = Conversation(model, shop)
        self._understanding = understanding

    async def say(self, text: str) -> Outcome:
        meanings = await self._understanding.meanings(text, locale="en-US")
        decision = decide(meanings, verified=self.talk.shop.verified, failures=0, max_failures=_FAILURES)
        self.talk.messages.append(Message(Role.CALLER, text))
        if decision.action is PolicyAction.BLOCK:
            return self._without_answer("block", "I'm sorry, I can't do that.")
        if decision.action is PolicyAction.ESCALATE:
            return self._without_answer("human", "")
        asked = decision.action is PolicyAction.AUTHENTICATE
        answer = None if asked else await self.talk.answer()
        if answer is None or answer.denied:
            if answer is not None:  # the call does not say the model's words about it, but asks for the PIN
                self.talk.messages.pop()
            self._give_pin()
            asked, answer = True, await self.talk.answer()
        if "transfer_to_human" in answer.tools:
            kind = "human"
        elif "end_call" in answer.tools:
            kind = "bye"
        else:
            kind = "pin" if asked else "say"
        return Outcome(kind, answer.text, tuple(answer.tools))

    def _without_answer(self, kind: str, text: str) -> Outcome:
        if text:
            self.talk.messages.append(Message(Role.AGENT, text))
        return Outcome(kind, text, ())

    def _give_pin(self) -> None:
        self.talk.messages.append(Message(Role.AGENT, "Please tell me your four digit PIN, or key it in."))
        self.talk.messages.append(Message(Role.CALLER, "[PIN]"))
        self.talk.shop.verified = True
