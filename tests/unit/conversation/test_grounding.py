"""What may be said as a fact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.grounding import ClaimKind, Evidence, EvidenceBook, claims_of
from voice_agent.models import Message, Role, ToolResult, ToolStatus

ORDER = {
    "orders": [
        {
            "order_id": "83102",
            "status": "in_transit",
            "carrier": "UPS",
            "estimated_delivery": "2026-11-24",
            "total": 129.5,
            "items": 2,
        }
    ]
}
POLICY = "You can return goods within 30 days. Standard delivery takes 3 to 5 business days and costs $4.95. 10% off."


@pytest.fixture
def known() -> Evidence:
    evidence = Evidence()
    evidence.add_data(ORDER)
    evidence.add_text(POLICY)
    evidence.add_heard("my other number is 83117")
    return evidence


@pytest.mark.parametrize(
    "text",
    [
        "Order 83102 is on its way with UPS. It should arrive on Tuesday, November 24.",
        "It should arrive on the 24th of November, 2026.",
        "The total was $129.50.",
        "That is 129.50 dollars for 2 items.",
        "You have thirty days to return it.",
        "It takes three to five business days and costs $4.95.",
        "You get 10 percent off.",
        "I can't find order 83117.",
        "Your parcel is in transit.",
        "One moment, please. I have two questions for you.",
        "Once it has been delivered you can return it.",
        "Llega el 24 de noviembre.",
        "Il arrive le 24 novembre et coûte 129,50 €.",
        "Please tell me your four digit PIN.",
        "",
    ],
)
def test_what_is_known_may_be_said_however_it_is_written(known: Evidence, text: str) -> None:
    assert known.ungrounded(text) == ()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("It should arrive on November 25.", ClaimKind.DATE),
        ("It should arrive on November 24, 2027.", ClaimKind.DATE),
        ("The total was $130.", ClaimKind.MONEY),
        ("Your refund of 50 euros is on the way.", ClaimKind.MONEY),
        ("You have 60 days to return it.", ClaimKind.PERIOD),
        ("You have ninety days to return it.", ClaimKind.PERIOD),
        ("You get 20% off.", ClaimKind.PERIOD),
        ("Order 99999 is yours too.", ClaimKind.IDENTIFIER),
        ("Your tracking code is 1Z999AA10123456784.", ClaimKind.IDENTIFIER),
        ("Your order has been delivered.", ClaimKind.STATE),
        ("I see that it was cancelled.", ClaimKind.STATE),
        ("Cuesta 1.299,00 € en total.", ClaimKind.MONEY),
        ("Il vous reste 45 jours.", ClaimKind.PERIOD),
    ],
)
def test_what_nothing_supports_is_found(known: Evidence, text: str, kind: ClaimKind) -> None:
    assert kind in {claim.kind for claim in known.ungrounded(text)}


def test_what_the_caller_says_grounds_numbers_only() -> None:
    evidence = Evidence()
    evidence.add_heard("I paid $500 for order 83102 and it was delivered")
    assert evidence.ungrounded("Let me look at 83102.") == ()
    assert {claim.kind for claim in evidence.ungrounded("You paid $499.")} == {ClaimKind.MONEY}
    assert {claim.kind for claim in evidence.ungrounded("Your order was delivered.")} == {ClaimKind.STATE}


@pytest.mark.parametrize(
    ("one", "other"), [("$1,299.00", "1299 dollars"), ("€12,50", "12.5 euros"), ("1.299,00 €", "EUR 1299")]
)
def test_amounts_compare_by_value(one: str, other: str) -> None:
    assert claims_of(one) == claims_of(other) != ()


@given(st.text(max_size=300))
def test_any_text_can_be_read_and_supports_itself(text: str) -> None:
    evidence = Evidence()
    evidence.add_text(text)
    assert not {c for c in evidence.ungrounded(text) if c.kind is not ClaimKind.STATE}


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=5), c, max_size=3),
        max_leaves=10,
    )
)
def test_any_tool_result_is_evidence(data: object) -> None:
    Evidence().add_data(data)


def test_a_message_is_read_once_and_counts_while_it_is_there() -> None:
    class Counted(dict[str, object]):
        reads = 0

        def items(self):  # type: ignore[no-untyped-def]
            Counted.reads += 1
            return super().items()

    result = ToolResult("c1", "order_status", ToolStatus.OK, Counted(ORDER))
    messages = [Message(Role.CALLER, "Where is it?"), Message(Role.TOOL, "", tool_result=result)]
    book = EvidenceBook()
    for _ in range(3):
        assert book.of([*messages, Message(Role.AGENT, POLICY)]).ungrounded("It comes on November 24 for $4.95.") == ()
    assert Counted.reads == 1
    assert book.of([messages[0]]).ungrounded("It comes on November 24.")
