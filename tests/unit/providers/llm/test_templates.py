"""Templates: grammar, variants, missing values, and recognising what was said."""

from __future__ import annotations

from typing import Any

import pytest

from voice_agent.providers.llm.builtin.filters import Calendar, build_filters, say_items, say_short_items
from voice_agent.providers.llm.builtin.templates import Phrasebook, TemplateError, join, parse

FILTERS = build_filters(
    words={"in_transit": "on its way"},
    currencies={"USD": "$"},
    calendar=Calendar(
        months=["January", *[""] * 9, "November", "December"],
        weekdays=["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
        day="{weekday}, {month} {day}",
        one="on {day}",
        between="between {first} and {last}",
    ),
)


def book(**templates: list[str]) -> Phrasebook:
    questions = {"more": ["Anything else?", "Is there more?"], "which": ["Which order do you mean?"]}
    return Phrasebook(templates, questions, FILTERS)


def test_values_filters_and_optional_parts() -> None:
    text = "{it|cap} comes[ with {order.carrier}] on {order.day|date}."
    values: dict[str, Any] = {"it": "your order", "order": {"carrier": "UPS", "day": "2026-11-24"}}
    assert book(t=[text]).render("t", values, 0) == "Your order comes with UPS on Tuesday, November 24."
    values["order"]["carrier"] = None
    assert book(t=[text]).render("t", values, 0) == "Your order comes on Tuesday, November 24."


def test_a_variant_without_its_value_gives_way() -> None:
    phrases = book(t=["It comes on {day}.", "There is no date yet."])
    assert [phrases.render("t", {"day": "Monday"}, turn) for turn in range(3)] == ["It comes on Monday."] * 3
    assert [phrases.render("t", {}, turn) for turn in range(3)] == ["There is no date yet."] * 3
    assert book(t=["It comes on {day}."]).render("t", {}, 0) == ""


def test_equal_variants_take_turns() -> None:
    phrases = book(t=["One.", "Two. {?more}"])
    assert [phrases.render("t", {}, turn) for turn in range(4)] == [
        "One.",
        "Two. Is there more?",
        "One.",
        "Two. Is there more?",
    ]


def test_a_list_of_orders() -> None:
    phrases = book(all=["You have {each one}."], one=["order {order.id}[, {order.status|words}]"])
    orders = [{"id": "1", "status": "in_transit"}, {"id": "2"}]
    assert phrases.render("all", {"orders": orders}, 0) == "You have order 1, on its way; and order 2."


@pytest.mark.parametrize(
    ("parts", "joined"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b, and c"), (["a, b", "c"], "a, b; and c")],
)
def test_joining(parts: list[str], joined: str) -> None:
    assert join(parts) == joined


@pytest.mark.parametrize("source", ["{a", "a}", "[a", "a]", "[a [b]]", "{}", "{|cap}"])
def test_broken_templates(source: str) -> None:
    with pytest.raises(TemplateError):
        parse(source)


def test_finding_the_question_that_was_asked() -> None:
    phrases = book(t=["x"])
    assert phrases.question_in("You have two. Which order do you mean?", cut=False) == "which"
    assert phrases.question_in("Which order do you mean? Anything else?", cut=False) == "more"
    assert phrases.question_in("Where do you live?", cut=False) == ""
    assert phrases.question_in("You have two. Which order do", cut=False) == ""
    assert phrases.question_in("You have two. Which order do", cut=True) == "which"
    assert phrases.question_in("You have two. Which", cut=True) == ""


def test_recognising_a_spoken_template() -> None:
    phrases = book(repeat=["Sure. I said: {last}"], t=["It comes[ with {carrier}] today. {?more}"])
    match = phrases.spoken_as("repeat", "Sure.  I said: It is here.")
    assert match is not None
    assert match[1] == "It is here."
    assert phrases.spoken_as("t", "It comes with UPS today. Is there more?") is not None
    assert phrases.spoken_as("t", "It comes today. Anything else?") is not None
    assert phrases.spoken_as("t", "It went today. Anything else?") is None


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([{"name": "ceramic mug", "quantity": 4}], "4 ceramic mugs"),
        ([{"name": "wool socks", "quantity": 3}], "3 pairs of wool socks"),
        ([{"name": "hiking boots", "quantity": 1}], "a pair of hiking boots"),
        ([{"name": "enamel cup", "quantity": 1}], "an enamel cup"),
        ([{"name": "torch", "quantity": 2}], "2 torches"),
        (["tent", {"name": "lamp"}], "a tent and a lamp"),
        ([], ""),
        (None, ""),
    ],
)
def test_items(items: Any, said: str) -> None:
    assert say_items(items) == said


def test_short_items() -> None:
    assert say_short_items(["tent", "lamp", "rope"]) == "a tent and more"
    assert say_short_items(["tent", "lamp"]) == "a tent and more"


@pytest.mark.parametrize(
    ("value", "said"),
    [((72.0, "USD"), "$72"), ((72.5, "USD"), "$72.50"), ((9.99, "CHF"), "9.99 CHF"), (("12", "USD"), "$12"), (5, "5")],
)
def test_money(value: Any, said: str) -> None:
    assert FILTERS["money"](value) == said


def test_a_date_that_is_none_is_said_as_it_stands() -> None:
    assert FILTERS["date"]("soon") == "soon"
