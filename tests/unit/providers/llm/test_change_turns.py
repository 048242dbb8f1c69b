"""Turns that change something, and their near misses, through the model with every tool of the shop."""

from __future__ import annotations

import re

from tests.unit.providers.llm import change_turns as turns
from tests.unit.providers.llm.change_turns import CHANGE_TURNS
from tests.unit.providers.llm.shop import ALL_TOOL_NAMES, Conversation, Shop, Turn

from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.builtin import BuiltinLanguageModel, load_brain

RIGHT_SHARE = 0.9
# What the agent says where it must know more before it can call the tool, or knows that the call would be in vain.
ON_THE_WAY = {
    turns.CANCEL: r"like to cancel\?|want to cancel\?|can't be cancelled",
    turns.RETURN: r"Is it unused|like to return\?|return something from\?|nothing to send back",
    turns.ADDRESS: r"full new address|sent elsewhere\?|to another address\?|address can't be changed",
    turns.CALLBACK: r"When would suit you best",
    turns.ESTIMATE: r"Which one would you like to know about\?|Which of them do you mean\?",
    "offer": r"start a return",
}


def is_right(expected: str, turn: Turn) -> bool:
    if expected.startswith("say:"):
        return re.search(expected.removeprefix("say:"), turn.text) is not None
    if expected in turn.tools[-1:]:
        return expected != turns.KNOWLEDGE or re.search(ON_THE_WAY["offer"], turn.text) is None
    return re.search(ON_THE_WAY.get(expected, "(?!)"), turn.text) is not None


async def test_at_least_nine_in_ten_come_to_the_right_tool(
    model: BuiltinLanguageModel, embedder: MiniLmEmbedder
) -> None:
    wrong: list[str] = []
    for words, expected in CHANGE_TURNS:
        turn = await Conversation(model, Shop(embedder), tools=ALL_TOOL_NAMES).say(words)
        if not is_right(expected, turn):
            wrong.append(f"{words!r}: wanted {expected}, got {turn.calls} {turn.text!r}")
    share = 1 - len(wrong) / len(CHANGE_TURNS)
    assert share >= RIGHT_SHARE, f"{share:.1%} right\n" + "\n".join(wrong)


async def test_nothing_is_changed_by_a_near_miss(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> None:
    changing = {turns.CANCEL, turns.RETURN, turns.ADDRESS, turns.CALLBACK}
    asked = [
        (words, turn.calls)
        for words, expected in CHANGE_TURNS
        if expected not in changing
        and (turn := await Conversation(model, Shop(embedder), tools=ALL_TOOL_NAMES).say(words))
        and changing & set(turn.tools)
    ]
    assert len(asked) <= 2, asked


def test_the_set_is_held_out_and_half_of_it_near_misses() -> None:
    examples = {text.lower() for intent in load_brain().intents.values() for text in intent.examples}
    assert [words for words, _ in CHANGE_TURNS if words.lower().rstrip("?!.") in examples] == []
    near_misses = [
        words
        for words, expected in CHANGE_TURNS
        if expected in (turns.KNOWLEDGE, turns.HUMAN, turns.ORDERS) or ":" in expected
    ]
    assert len(CHANGE_TURNS) >= 120
    assert len(near_misses) >= 60
