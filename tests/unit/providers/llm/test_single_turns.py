"""First turns, each in its own call: the right tool or the right words."""

from __future__ import annotations

import pytest
from tests.unit.providers.llm.shop import Conversation, Shop
from tests.unit.providers.llm.single_turns import HANG_UP, HUMAN, KNOWLEDGE, ORDERS, SINGLE_TURNS

from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.builtin import BuiltinLanguageModel, load_brain

RIGHT_SHARE = 0.9


def is_right(expected: str, turn_tools: list[tuple[str, dict[str, str]]], text: str) -> bool:
    if expected.startswith("say:"):
        return not turn_tools and any(words in text for words in expected.removeprefix("say:").split("|"))
    tool, _, order_id = expected.partition(":")
    return len(turn_tools) == 1 and turn_tools[0][0] == tool and turn_tools[0][1].get("order_id", "") == order_id


async def test_at_least_nine_in_ten_are_right(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> None:
    wrong: list[str] = []
    for utterance, expected in SINGLE_TURNS:
        turn = await Conversation(model, Shop(embedder)).say(utterance)
        if not is_right(expected, turn.calls, turn.text):
            wrong.append(f"{utterance!r}: wanted {expected}, got {turn.calls} {turn.text!r}")
    share = 1 - len(wrong) / len(SINGLE_TURNS)
    assert share >= RIGHT_SHARE, f"{share:.1%} right\n" + "\n".join(wrong)


def test_the_set_is_varied_and_held_out() -> None:
    examples = {text.lower() for intent in load_brain().intents.values() for text in intent.examples}
    known = [text for text, _ in SINGLE_TURNS if text.lower().rstrip("?!.") in examples]
    assert known == []
    kinds = [expected.partition(":")[0] for _, expected in SINGLE_TURNS]
    assert len(SINGLE_TURNS) >= 40
    assert all(kinds.count(kind) >= 2 for kind in (ORDERS, KNOWLEDGE, HUMAN, HANG_UP, "say"))


@pytest.mark.parametrize("utterance", ["Where's my order?", "where is my order", "  Where is my order  "])
async def test_punctuation_and_case_do_not_matter(
    model: BuiltinLanguageModel, embedder: MiniLmEmbedder, utterance: str
) -> None:
    assert (await Conversation(model, Shop(embedder)).say(utterance)).tools == ["order_status"]
