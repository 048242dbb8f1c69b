"""Requests that take several turns: which order, what else must be known, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.providers.llm.shop import ALL_TOOL_NAMES, JACKET, TOOL_NAMES, Conversation, Shop

from voice_agent.models import Message, Role
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.builtin import BuiltinLanguageModel, load_brain

CANCEL_TENT = ("cancel_order", {"order_id": "83240"})


async def test_a_change_is_made_once_the_caller_has_agreed_and_is_known_afterwards(talk: Conversation) -> None:
    asked = await talk.say("please cancel the tent")
    assert asked.calls == [("order_status", {}), CANCEL_TENT]
    done = await talk.say("yes please")
    assert done.calls == []
    assert done.text.startswith("Order 83240 is cancelled now, and $514 will be refunded.")
    assert talk.shop.changes == [CANCEL_TENT]
    assert "was cancelled, so nothing will be delivered." in (await talk.say("where is the tent now")).text


@pytest.mark.parametrize(
    "words", ["please cancel my order with the tent", "cancel the one with the tent", "cancel the tent"]
)
async def test_an_order_told_by_what_is_in_it_is_looked_for_and_not_taken_for_the_one_talked_about(
    talk: Conversation, words: str
) -> None:
    assert "on its way" in (await talk.say("where is order 83102")).text
    assert (await talk.say(words)).calls == [("order_status", {}), CANCEL_TENT]


@pytest.mark.parametrize("words", ["no", "no thanks, leave it", "never mind", "I'm not sure, maybe", "don't cancel it"])
async def test_without_a_yes_nothing_is_changed(talk: Conversation, words: str) -> None:
    await talk.say("cancel order 83240")
    assert (await talk.say(words)).text.startswith("All right, I've left it as it is.")
    assert talk.shop.changes == []


async def test_what_is_no_clear_answer_is_asked_again(talk: Conversation) -> None:
    await talk.say("cancel order 83240")
    for words in ("what did you say", "yes but hurry up", "hm the tent", "yes okay that one then why not"):
        assert (await talk.say(words)).text == "Shall I cancel order 83240?", words
    assert talk.shop.changes == []


async def test_a_yes_after_giving_time_is_asked_for_again(talk: Conversation) -> None:
    await talk.say("cancel order 83240")
    assert "wait" in (await talk.say("hold on a second")).text or "time" in talk.messages[-1].text
    assert (await talk.say("okay, yes")).text == "Shall I cancel order 83240?"


async def test_after_another_question_the_proposal_is_gone(talk: Conversation) -> None:
    await talk.say("cancel order 83240")
    assert "two-person tent" in (await talk.say("what was in it")).text
    assert (await talk.say("yes")).calls == []
    assert (await talk.say("okay cancel it then")).calls[-1:] == [CANCEL_TENT]


async def test_the_other_order_is_meant(talk: Conversation) -> None:
    await talk.say("cancel my order")
    assert (await talk.say("the second one")).text == "Shall I cancel order 83102?"
    assert (await talk.say("no, the other one")).text == "Shall I cancel order 83240?"
    assert (await talk.say("you got that wrong")).text.startswith("All right, I haven't changed anything.")
    assert (await talk.say("the jacket")).text == "Shall I cancel order 83102?"


async def test_which_order_is_asked_no_more_than_twice(talk: Conversation) -> None:
    for _ in range(2):
        asked = (await talk.say("cancel my order")).text
        assert "83240" in asked
        assert "83102" in asked
        assert "83117" not in asked  # it has been delivered
    assert "colleague?" in (await talk.say("cancel my order")).text


async def test_several_at_once_are_done_one_after_another(talk: Conversation) -> None:
    both = await talk.say("cancel both of my orders")
    assert both.text.startswith("I can do that for one order at a time. I see order 83240")
    assert (await talk.say("the tent first")).text == "Shall I cancel order 83240?"


async def test_an_order_that_was_not_looked_up_yet_is_found_by_its_things(talk: Conversation) -> None:
    await talk.say("where is order 83102")
    tent = await talk.say("cancel the tent please")
    assert tent.calls == [("order_status", {}), CANCEL_TENT]
    await talk.say("no")
    assert "83240 is being prepared" in (await talk.say("where is the tent")).text


async def test_it_is_the_order_talked_about(talk: Conversation) -> None:
    await talk.say("where is order 83102")
    assert (await talk.say("cancel it please")).calls == [("cancel_order", {"order_id": "83102"})]


async def test_a_new_subject_ends_the_questions(talk: Conversation) -> None:
    await talk.say("please start a return for the mugs")
    assert (await talk.say("how much is express shipping")).tools == ["knowledge_base"]
    assert (await talk.say("it's broken")).calls[-1:] != [
        ("start_return", {"order_id": "83117", "condition": "damaged"})
    ]


async def test_a_return_needs_its_condition(talk: Conversation) -> None:
    asked = await talk.say("please start a return for the mugs")
    assert asked.text.endswith("or is it the wrong item?")
    assert (await talk.say("I'm not sure")).text.startswith("I'm sorry, I didn't get that. Is it unused")
    assert "colleague?" in (await talk.say("no idea")).text
    again = await talk.say("please start a return for order 83117, I never used them")
    assert again.calls[-1] == ("start_return", {"order_id": "83117", "condition": "unused"})
    changed = await talk.say("no, they are damaged")
    assert changed.calls == [("start_return", {"order_id": "83117", "condition": "damaged"})]
    done = await talk.say("yes")
    assert "Your return number is R-482913" in done.text
    assert "you get $36.50 as soon as it is here" in done.text


async def test_a_return_of_some_things(talk: Conversation) -> None:
    turn = await talk.say("start a return for one of the mugs, it came broken")
    items = [{"name": "ceramic mug", "quantity": 1}]
    assert turn.calls[-1] == ("start_return", {"order_id": "83117", "condition": "damaged", "items": items})


async def test_a_return_is_offered_with_its_rules(talk: Conversation) -> None:
    offered = await talk.say("I want to return something")
    assert "within 30 days" in offered.text
    assert "start a return" in offered.text
    assert (await talk.say("no thanks")).calls == []
    await talk.say("I want to return something")
    assert (await talk.say("yes please")).text.endswith("or is it the wrong item?")


async def test_the_story_told_before_the_offer_tells_the_condition(talk: Conversation) -> None:
    await talk.say("my mugs arrived broken, I want to return them")
    if not talk.waiting:
        await talk.say("yes")
    assert talk.waiting is not None
    assert '"condition": "damaged"' in talk.waiting.arguments


async def test_what_can_be_cancelled_instead_and_sent_back_instead(talk: Conversation) -> None:
    assert "hasn't been sent yet" in (await talk.say("return order 83240 please")).text
    assert (await talk.say("yes")).calls == [CANCEL_TENT]
    await talk.say("no")
    assert "You can return it, though." in (await talk.say("cancel order 83117")).text
    assert (await talk.say("yes")).text.endswith("or is it the wrong item?")


async def test_an_address_as_it_is_said_and_as_it_is_masked(talk: Conversation) -> None:
    assert (await talk.say("change the address of my order")).text.endswith("the state and the ZIP code?")
    said = await talk.say("fourteen Birch Lane, Madison, Wisconsin, five three seven oh three")
    place = {"street": "14 Birch Lane", "city": "Madison", "region": "Wisconsin", "postal_code": "53703"}
    assert said.calls == [("update_address", {"order_id": "83240", **place})]
    masked = await talk.say("no, to [ADDRESS 2]")
    parts = {part: f"[ADDRESS 2].{part}" for part in ("street", "extra", "city", "region", "postal_code")}
    assert masked.calls == [("update_address", {"order_id": "83240", **parts})]
    assert "new address" in (await talk.say("yes")).text
    assert talk.shop.changes == [("update_address", {"order_id": "83240", **parts})]


async def test_an_address_alone_is_a_turn_and_a_secret_is_none(talk: Conversation) -> None:
    await talk.say("change the address of my order")
    assert (await talk.say("[ADDRESS]")).tools == ["update_address"]
    await talk.say("no")
    talk.messages.append(Message(Role.CALLER, "[PIN]"))
    assert (await talk.answer()).text.startswith("All right, I've left it as it is.")


async def test_a_callback(talk: Conversation) -> None:
    assert (await talk.say("I'd like a callback")).text.startswith("A colleague can call you back. When")
    asked = await talk.say("tomorrow in the evening")
    assert asked.text == "Shall I have a colleague call you back, evening?"
    assert talk.shop.changes == []
    done = await talk.say("yes please")
    assert done.text.startswith("A colleague will call you back in the evening")
    wanted = {"topic": "I'd like a callback / tomorrow in the evening", "preferred": "evening"}
    assert talk.shop.changes == [("callback_request", wanted)]
    again = await talk.say("another callback please")
    assert again.calls == []
    assert (await talk.say("Dana Reyes")).text == "Shall I have a colleague call you back, soon?"


@pytest.mark.parametrize("words", ["no", "no thanks", "never mind", "don't call me back", "you got that wrong"])
async def test_without_a_yes_nobody_calls_back(talk: Conversation, words: str) -> None:
    assert (await talk.say("please call me back in the evening")).tools == ["callback_request"]
    assert (await talk.say(words)).text.startswith("All right, nobody will call you back.")
    assert talk.shop.changes == []


async def test_a_callback_can_be_asked_for_at_another_time(talk: Conversation) -> None:
    await talk.say("please call me back in the evening")
    assert (await talk.say("what did you say")).text.endswith("call you back, evening?")
    assert (await talk.say("no, in the morning please")).text.endswith("call you back, morning?")
    await talk.say("yes")
    assert [arguments["preferred"] for _, arguments in talk.shop.changes] == ["morning"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("I'd like a callback", "don't call me back"),
        ("cancel my order", "don't cancel order 83240"),
        ("please start a return for the mugs", "I don't want to return order 83117"),
    ],
)
async def test_what_is_asked_for_a_change_ends_when_it_is_not_wanted(
    talk: Conversation, request_: str, words: str
) -> None:
    await talk.say(request_)
    turn = await talk.say(words)
    assert (turn.calls, turn.text) == ([], "All right. What would you like instead?")


async def test_not_wanting_a_change_is_no_goodbye(talk: Conversation) -> None:
    assert (await talk.say("thank you very much")).text.endswith(
        ("anything else I can help you with?", "anything else?")
    )
    assert "end_call" not in (await talk.say("please don't cancel my order")).tools


async def test_of_two_things_the_wanted_one_is_done(talk: Conversation) -> None:
    assert (await talk.say("don't cancel the tent, cancel the jacket")).calls[-1] == (
        "cancel_order",
        {"order_id": "83102"},
    )


async def test_days_are_told_from_the_estimate_and_orders_by_their_state(talk: Conversation) -> None:
    day = await talk.say("when will order 83102 arrive")
    assert day.tools == ["order_status", "delivery_estimate"]
    assert day.text == "Order 83102 should arrive between Tuesday, November 24 and Monday, November 30."
    listed = await talk.say("which orders are still open")
    assert listed.calls == [("list_orders", {"state": "open"})]
    assert "You have 2 orders that are still open" in listed.text
    none = await talk.say("do I have any cancelled orders")
    assert "no orders of yours that are cancelled" in none.text
    assert "$187.50" in (await talk.say("how much was order 83102")).text


async def test_when_the_estimate_fails_the_order_tells_the_day(
    model: BuiltinLanguageModel, embedder: MiniLmEmbedder
) -> None:
    shop = Shop(embedder, orders=(JACKET,), broken=frozenset({"delivery_estimate"}))
    talk = Conversation(model, shop, tools=ALL_TOOL_NAMES)
    assert "should arrive on Tuesday, November 24" in (await talk.say("when will it arrive")).text


def test_parcels_of_one_order_are_told_one_by_one() -> None:
    parcels = [
        {"items": [{"name": "lamp", "quantity": 1}], "status": "delivered", "delivered_on": "2026-11-20"},
        {"items": [{"name": "rope", "quantity": 2}], "status": "in_transit", "estimated_delivery": "2026-11-26"},
    ]
    values = {"result": {"order_id": "83102", "parcels": parcels}}
    assert load_brain().phrasebook().render("delivery_in_parts", values, 0) == (
        "Order 83102 comes in several parcels: a lamp came on Friday, November 20; and 2 ropes should come on Thursday, "
        "November 26."
    )


REFUSALS: tuple[tuple[tuple[str, ...], str, str, Mapping[str, Any], str], ...] = (
    (
        ("cancel order 83102", "yes"),
        "cancel_order",
        "too_late",
        {"order_status": "in_transit"},
        "has been sent already",
    ),
    (("cancel order 83240", "yes"), "cancel_order", "already_cancelled", {}, "was cancelled already"),
    (("cancel order 83240", "yes"), "cancel_order", "not_found", {}, "can't find order 83240"),
    (("return order 83117, unused", "yes"), "start_return", "not_found", {}, "can't find order 83117"),
    (
        ("return order 83117, unused", "yes"),
        "start_return",
        "too_late",
        {"item": "ceramic mug", "deadline": "2026-11-14"},
        "the time to return ceramic mug ended on Saturday, November 14",
    ),
    (("return order 83102, unused", "yes"), "start_return", "not_delivered", {}, "hasn't been delivered yet"),
    (("return order 83117, used", "yes"), "start_return", "not_returnable", {"why": "used"}, "only unused items"),
    (
        ("return order 83117, unused", "yes"),
        "start_return",
        "not_returnable",
        {"why": "final_sale", "item": "ceramic mug"},
        "ceramic mug was sold as a final sale",
    ),
    (
        ("return order 83117, unused", "yes"),
        "start_return",
        "already_returned",
        {"item": "ceramic mug"},
        "started already",
    ),
    (("return order 83117, unused", "yes"), "start_return", "already_cancelled", {}, "nothing to return"),
    (
        ("return order 83117, unused", "yes"),
        "start_return",
        "item_not_in_order",
        {"items_in_order": ["ceramic mug", "lamp"]},
        "holds a ceramic mug and a lamp",
    ),
    (
        ("return order 83117, unused", "yes"),
        "start_return",
        "too_many_pieces",
        {"item": "ceramic mug", "left": 2},
        "only 2 pieces of ceramic mug left",
    ),
    (("send order 83240 to [ADDRESS]", "yes"), "update_address", "not_found", {}, "can't find order 83240"),
    (("send order 83240 to [ADDRESS]", "yes"), "update_address", "too_late", {}, "has been sent already"),
    (("send order 83240 to [ADDRESS]", "yes"), "update_address", "already_cancelled", {}, "nothing will be sent"),
    (("send order 83240 to [ADDRESS]", "yes"), "update_address", "other_country", {}, "to another country"),
    (("I'd like a callback in the evening", "yes"), "callback_request", "no_number", {}, "can't see a number"),
    (
        ("I'd like a callback in the evening", "yes"),
        "callback_request",
        "too_many_callbacks",
        {},
        "on their way to you",
    ),
    (("where is order 83240", "when will it come"), "delivery_estimate", "not_found", {}, "can't find order 83240"),
)


@pytest.mark.parametrize(("lines", "tool", "reason", "facts", "said"), REFUSALS)
async def test_every_reason_is_said_in_plain_words(
    model: BuiltinLanguageModel,
    embedder: MiniLmEmbedder,
    lines: tuple[str, ...],
    tool: str,
    reason: str,
    facts: Mapping[str, Any],
    said: str,
) -> None:
    order_id = "83102" if "83102" in lines[0] else "83117" if "83117" in lines[0] else "83240"
    detail = "The order has been shipped."
    shop = Shop(embedder, refusals={tool: (reason, {"order_id": order_id, "detail": detail, **facts})})
    talk = Conversation(model, shop, tools=ALL_TOOL_NAMES)
    texts = [(await talk.say(line)).text for line in lines]
    assert said in texts[-1]
    assert shop.changes == []


async def test_a_failure_is_said_and_a_colleague_offered(model: BuiltinLanguageModel, embedder: MiniLmEmbedder) -> None:
    talk = Conversation(model, Shop(embedder, broken=frozenset({"callback_request"})), tools=ALL_TOOL_NAMES)
    await talk.say("please arrange a callback for the afternoon")
    failed = await talk.say("yes")
    assert failed.text.startswith("I can't reach that system.")
    assert (await talk.say("yes")).tools == ["transfer_to_human"]


@pytest.mark.parametrize(
    ("words", "said", "tools"),
    [
        ("please cancel order 83240", "can't change or cancel", []),
        ("change the delivery address of my order please", "can't change or cancel", []),
        ("please start a return for order 83117", "within 30 days", ["knowledge_base"]),
        ("I'd like a callback in the evening", "", ["transfer_to_human"]),
        ("which orders are still open", "83117", ["order_status"]),
    ],
)
async def test_without_the_tools_it_is_as_before(
    model: BuiltinLanguageModel, embedder: MiniLmEmbedder, words: str, said: str, tools: list[str]
) -> None:
    turn = await Conversation(model, Shop(embedder), tools=TOOL_NAMES).say(words)
    assert said in turn.text
    assert "start a return" not in turn.text
    assert turn.tools == tools
