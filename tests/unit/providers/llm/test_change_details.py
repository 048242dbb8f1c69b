"""What a caller says of the things in a change: how they are, which are meant, and what is only denied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.providers.llm.shop import JACKET, MUGS, TENT, Conversation

from voice_agent.providers.llm.builtin import load_brain
from voice_agent.providers.llm.builtin.items import named_items
from voice_agent.providers.llm.builtin.slots import SlotReader


@pytest.mark.parametrize(
    ("words", "condition"),
    [
        ("They're unused.", "unused"),
        ("I never took them out of the box", "unused"),
        ("it's brand new", "unused"),
        ("I haven't even opened it", "unused"),
        ("the tags are still on", "unused"),
        ("I've worn them once", "used"),
        ("yes I used it", "used"),
        ("it arrived broken", "damaged"),
        ("there's a crack in it", "damaged"),
        ("It doesn't work", "damaged"),
        ("it's not what I ordered", "wrong_item"),
        ("you sent me the wrong thing", "wrong_item"),
        ("I didn't order that", "wrong_item"),
        ("it's the wrong size", None),
        ("a present from my aunt", None),
        ("they're not damaged, I just don't like them", None),
        ("they are not damaged i just don't like them", None),
        ("it isn't broken", None),
        ("it’s not broken, scratched or anything", None),
        ("I don't think it's damaged", None),
        ("it arrived without a scratch", None),
        ("no damage at all", None),
        ("it doesn't work for me", None),
        ("it isn't the wrong item", None),
        ("not new any more", None),
        ("I'm not used to mugs like that", None),
        ("the lid does not open", None),
        ("nothing is broken, I never used them", "unused"),
        ("it isn't used", "unused"),
        ("they haven't been worn", "unused"),
        ("not the wrong item, it's broken", "damaged"),
        ("I never used it, it came broken", "damaged"),
        ("it's not unused but it's damaged", "damaged"),
        ("it's damaged, isn't it", "damaged"),
        ("no they came broken", "damaged"),
        ("not damaged, but I've worn them", "used"),
    ],
)
def test_how_the_things_are(words: str, condition: str | None) -> None:
    assert detail("condition", words) == condition


@pytest.mark.parametrize(
    ("name", "words", "value"),
    [
        ("state", "which orders have not been cancelled", None),
        ("state", "which orders haven't arrived", "open"),
        ("state", "which ones weren't sent back", None),
        ("preferred", "in the evening please, not in the morning", "evening"),
        ("preferred", "I can't in the morning, afternoon is better", "afternoon"),
        ("preferred", "not in the morning", None),
        ("preferred", "I don't mind", "soon"),
    ],
)
def test_what_is_denied_is_not_taken_for_said(name: str, words: str, value: str | None) -> None:
    assert detail(name, words) == value


def detail(name: str, words: str) -> Any:
    brain = load_brain()
    return SlotReader(brain.slots, brain.negation).value(name, words)


@pytest.mark.parametrize(
    "words",
    [
        "they're not damaged, I just don't like them",
        "it isn't broken",
        "it isn't the wrong item",
        "not new any more",
    ],
)
async def test_a_condition_that_is_only_denied_is_asked_for_again(talk: Conversation, words: str) -> None:
    await talk.say("please start a return for the mugs")
    turn = await talk.say(words)
    assert turn.text.endswith("or is it the wrong item?")
    assert "start_return" not in turn.tools


async def test_what_a_later_turn_denies_no_longer_counts(talk: Conversation) -> None:
    assert (await talk.say("start a return for the mugs, they came broken")).tools[-1] == "start_return"
    assert (await talk.say("no, they're not broken")).text.endswith("or is it the wrong item?")
    told = await talk.say("they are unused")
    assert told.calls[-1] == ("start_return", {"order_id": "83117", "condition": "unused"})


@pytest.mark.parametrize(
    ("words", "order", "items"),
    [
        ("I want to return the socks", JACKET, [("wool socks", 3)]),
        (
            "I want to return the jacket and one pair of socks",
            JACKET,
            [("Trail Runner rain jacket", 1), ("wool socks", 1)],
        ),
        ("both sleeping bags", TENT, [("down sleeping bag", 2)]),
        ("one of the four mugs", MUGS, [("ceramic mug", 1)]),
        ("three mugs", MUGS, [("ceramic mug", 3)]),
        ("my mug is broken", MUGS, [("ceramic mug", 1)]),
        ("a couple of the mugs", MUGS, [("ceramic mug", 2)]),
        ("the one with the mugs", MUGS, []),
        ("I want to return the mugs, two of them are broken", MUGS, [("ceramic mug", 2)]),
        ("return the mugs from order 83117", MUGS, []),
        ("return everything", JACKET, []),
    ],
)
def test_which_things_are_named(words: str, order: Mapping[str, Any], items: list[tuple[str, int]]) -> None:
    assert [(item["name"], item["quantity"]) for item in named_items([words], order)] == items
