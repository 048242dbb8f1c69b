"""Which order a caller means."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.providers.llm.shop import ALL_ORDERS, JACKET, MUGS, TENT

from voice_agent.models import Message, Role, ToolResult, ToolStatus
from voice_agent.providers.llm.builtin import load_brain
from voice_agent.providers.llm.builtin.heard_numbers import order_numbers
from voice_agent.providers.llm.builtin.orders import OrderBook

REFERENCES = load_brain().references
BOOK = OrderBook().with_result(ALL_ORDERS)


def picked(text: str, book: OrderBook = BOOK) -> list[str]:
    return [order["order_id"] for order in book.pick(text, REFERENCES).orders]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("the first one", ["83240"]),
        ("second one please", ["83102"]),
        ("the third order", ["83117"]),
        ("the last one", ["83240"]),
        ("the latest order", ["83240"]),
        ("my oldest order", ["83117"]),
        ("order eight three one oh two", ["83102"]),
        ("not 83102, I mean 83117", ["83117"]),
        ("the one with the mugs", ["83117"]),
        ("the sleeping bags", ["83240"]),
        ("the rain jackit", ["83102"]),
        ("the one from November 18th", ["83102"]),
        ("all of them", ["83240", "83102", "83117"]),
        ("83999", []),
        ("hello", ["83240", "83102", "83117"]),
    ],
)
def test_words_that_point(text: str, ids: list[str]) -> None:
    assert picked(text) == ids


def test_the_focus_holds_until_another_order_is_named() -> None:
    book = replace(BOOK, focus="83102")
    assert picked("when does it come", book) == ["83102"]
    assert book.pick("when does it come", REFERENCES).how == "focus"
    assert picked("and the other one", book) == ["83240", "83117"]
    assert picked("and the mugs", book) == ["83117"]


def test_the_dialogue_moves_the_focus() -> None:
    book = OrderBook()
    result = ToolResult("1", "order_status", ToolStatus.OK, {"orders": list(ALL_ORDERS)})
    book = book.after(Message(Role.TOOL, "", tool_result=result), REFERENCES)
    assert (book.asked, book.focus) == (True, "")
    book = book.after(Message(Role.AGENT, "You have 83240, 83102 and 83117."), REFERENCES)
    assert book.focus == ""
    book = book.after(Message(Role.CALLER, "the second one"), REFERENCES)
    assert book.focus == "83102"
    book = book.after(Message(Role.AGENT, "Order 83117 was delivered."), REFERENCES)
    assert book.focus == "83117"


def test_one_more_order_joins_the_known_ones() -> None:
    book = OrderBook().with_result([TENT]).with_result([JACKET])
    assert [order["order_id"] for order in book.orders] == ["83240", "83102"]
    assert book.focus == "83102"
    newer = {**JACKET, "status": "delivered"}
    assert book.with_result([newer]).orders[1]["status"] == "delivered"


def test_a_failed_look_up_changes_nothing() -> None:
    failed = ToolResult("1", "order_status", ToolStatus.BUSINESS_ERROR, {"orders": []}, reason="not_found")
    assert BOOK.after(Message(Role.TOOL, "", tool_result=failed), REFERENCES) == BOOK


def test_an_ordinal_beyond_the_list_picks_nothing() -> None:
    assert picked("the third one", OrderBook().with_result([TENT, MUGS])) == ["83240", "83117"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("order eight three two four oh please", ("83240",)),
        ("8-3-1-0-2", ("83102",)),
        ("within 30 days", ()),
        ("it cost 1200 dollars", ()),
        ("on November 24 2026", ()),
    ],
)
def test_order_numbers(text: str, numbers: tuple[str, ...]) -> None:
    assert order_numbers(text, 5) == numbers
