"""The brain file: the shipped one is whole, mistakes are told with their line, and a user's change takes effect."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.providers.llm.shop import Conversation, Shop

from voice_agent.errors import ConfigError
from voice_agent.providers.data_file import shipped
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.builtin import BuiltinLanguageModel, load_brain
from voice_agent.store.records import OrderStatus

SHIPPED = shipped("brain.en.yaml")


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(SHIPPED.splitlines(), 1) if text in line)


def test_the_shipped_file_knows_every_order_status() -> None:
    brain = load_brain()
    for status in OrderStatus:
        assert f"order_status_{status.value}" in brain.templates
        assert status.value in brain.words


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("say: disclosure}", "say: disclosures}", "there is no template 'disclosures'"),
        ("when: {intent: are_you_robot}", "when: {intent: robot}", "'robot' is not one of"),
        ("when: {intent: wait}", "when: {intend: wait}", "there is no such fact here"),
        ("when: {intent: wait}", "when: {tool: x}", "there is no such fact here"),
        ('answer: ["{answer}"]', 'answer: ["{answer"]', "{ and } must come in pairs"),
        ('answer: ["{answer}"]', 'answer: ["{answer|loud}"]', "there is no filter 'loud'"),
        ('answer: ["{answer}"]', 'answer: ["{?why}"]', "there is no question 'why'"),
        ("default_aspect: order_status", "default_aspect: order", "there is no intent 'order'"),
        ("threshold: 0.3", "threshold: high", "Input should be a valid number"),
        ("pick: other}", "pick: another}", "Input should be"),
        ("order_digits: 5", "order_digitz: 5", "order_digi"),
        ("      - come again\n", "      - go on\n", "an example of"),
        ("pick: newest}", "pick: newest, pattern: x}", "stands here twice"),
        ("question: ask_when", "question: ask_then", "there is no question 'ask_then'"),
        ("    reads: address", "    reads: addresses", "Input should be"),
        ("    reads: address", "    reads: ''", "a slot needs values or reads, and not both"),
        ("  preferred:\n", "  orders:\n", "'orders' is a fact already"),
        ('afternoon: "', 'afternoon: "(', "not a regular expression"),
        ("questions: [ask_when]", "questions: [ask_then]", "there is no question 'ask_then'"),
        ("offered: [offer_cancel]", "offered: [offer_cancels]", "there is no question 'offer_cancels'"),
        ("otherwise: human_wanted", "otherwise: humans", "there is no intent 'humans'"),
        ("otherwise: human_wanted", "otherwise: cancel_order", "there is no intent 'cancel_order' that needs no tool"),
        ("    otherwise: human_wanted\n", "", "tool and otherwise must stand together"),
        ("      earlier_call: ", "      earlier_calls: ", "there is no intent 'earlier_calls'"),
        ('      earlier_call: "', '      earlier_call: "(', "not a regular expression"),
        ("keeps_open: [none,", "keeps_open: [nothing,", "there is no intent 'nothing'"),
        (
            "condition: none, asked: ask_condition}",
            "condition: broken, asked: ask_condition}",
            "'broken' is not one of",
        ),
        ("address: none, asked", "address: known, asked", "'known' is not one of given, none"),
        ("order.status: processing}", "result.status: processing}", "there is no such fact here"),
        ('"which_{intent}"', '"what_{intent}"', "there is no template 'what_cancel_order'"),
        ('own_question: "^(', 'own_question: "^((', "not a regular expression"),
        ('negation: "', 'negation: "(', "not a regular expression"),
        ('      soon: "\\\\b(doesn', '      later: "\\\\b(doesn', "'later' is not one of the slot's values"),
    ],
)
def test_mistakes_are_told_with_file_line_and_reason(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert SHIPPED.count(before) >= 1
    own = tmp_path / "brain.yaml"
    own.write_text(SHIPPED.replace(before, after, 1))
    with pytest.raises(ConfigError) as caught:
        load_brain(own)
    text = str(caught.value)
    assert message in text
    assert text.startswith(f"{own}:")


def test_the_line_is_the_right_one(tmp_path: Path) -> None:
    own = tmp_path / "brain.yaml"
    own.write_text(SHIPPED.replace("{answer}", "{answer|loud}", 1))
    with pytest.raises(ConfigError, match=rf":{line_of('{answer}')}: templates\.answer\.0:"):
        load_brain(own)


async def test_a_new_intent_needs_no_code(tmp_path: Path, embedder: MiniLmEmbedder) -> None:
    changed = SHIPPED.replace(
        "intents:\n",
        "intents:\n  free_samples:\n    topic: shop\n    examples: [do you give free samples, can I get a sample]\n",
        1,
    )
    changed = changed.replace("templates:\n", 'templates:\n  samples: ["Samples are in every parcel."]\n', 1)
    changed = changed.replace("turns:\n", "turns:\n  - {when: {intent: free_samples}, say: samples}\n", 1)
    own = tmp_path / "brain.yaml"
    own.write_text(changed)
    model = BuiltinLanguageModel(embedder, brain_file=own)
    turn = await Conversation(model, Shop(embedder)).say("could I have a free sample please")
    assert (turn.text, turn.calls) == ("Samples are in every parcel.", [])


async def test_another_tool_needs_no_code(tmp_path: Path, embedder: MiniLmEmbedder) -> None:
    changed = SHIPPED.replace(
        "intents:\n", "intents:\n  stock:\n    examples: [is it in stock, do you have it on the shelf]\n", 1
    )
    changed = changed.replace(
        "turns:\n", 'turns:\n  - {when: {intent: stock}, call: {tool: stock_level, args: {item: "{query}"}}}\n', 1
    )
    own = tmp_path / "brain.yaml"
    own.write_text(changed)
    talk = Conversation(
        BuiltinLanguageModel(embedder, brain_file=own), Shop(embedder, broken=frozenset({"stock_level"}))
    )
    talk.tools = ("stock_level",)
    turn = await talk.say("is it in stock")
    assert turn.calls == [("stock_level", {"item": "is it in stock"})]
    assert turn.text.startswith("I can't reach that system.")
