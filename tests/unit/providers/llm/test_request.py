"""What a request tells of an interruption."""

from __future__ import annotations

import pytest

from voice_agent.models import Message, Role
from voice_agent.providers.llm.base import LlmRequest, text_for_model

CALLER = Message(Role.CALLER, "What about shoes?")
CUT = Message(Role.AGENT, "You can return any", interrupted=True, heard_confidence=0.9)
WHOLE = Message(Role.AGENT, "You can return any item.")


@pytest.mark.parametrize(
    ("messages", "after_interruption"),
    [
        ((CALLER,), False),
        ((CALLER, WHOLE, CALLER), False),
        ((CALLER, CUT, CALLER), True),
        ((CUT, CALLER, WHOLE), False),
    ],
)
def test_a_request_knows_whether_the_agent_was_just_interrupted(
    messages: tuple[Message, ...], after_interruption: bool
) -> None:
    assert LlmRequest(messages).after_interruption is after_interruption


def test_a_cut_message_says_so_and_how_surely() -> None:
    assert text_for_model(WHOLE) == WHOLE.text
    assert text_for_model(CUT).startswith("You can return any [interrupted by the caller here")
    unsure = Message(Role.AGENT, CUT.text, interrupted=True, heard_confidence=0.4)
    assert "about here" in text_for_model(unsure)
