from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.conversation.spoken_forms.heard import HeardDate, Money, heard_values, normalise_heard, yes_or_no

# --- identifiers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "order_ids"),
    [
        ("where is my order eight three one oh two", ("83102",)),
        ("Order 83102.", ("83102",)),
        ("order 8-3-1-0-2", ("83102",)),
        ("order 83,102 please", ("83102",)),
        ("eighty three one zero two", ("83102",)),
        ("Eighty-three thousand one hundred and two.", ("83102",)),
        ("order number is, um, eight three, uh, one zero two", ("83102",)),
        ("A B dash one two three four", ("AB-1234",)),
        ("it's AB-1234", ("AB-1234",)),
        ("AB1234", ("AB-1234",)),
        ("ORD 10234", ("ORD-10234",)),
        ("number 10,234", ("10234",)),
        ("ten thousand two hundred thirty four", ("10234",)),
        ("order double four triple seven", ("44777",)),
        ("orders 83102 and 83103", ("83102", "83103")),
        ("eight three one oh two and eight three one oh three", ("83102", "83103")),
        ("83102, no sorry, 83103", ("83103",)),
        ("order 83102, I mean order 83103", ("83103",)),
        ("no, I meant 83103", ("83103",)),
        ("83102 has no tracking and 83103 is late", ("83102", "83103")),
        ("order one two three", ("123",)),
        ("I have a 83102 here", ("83102",)),  # "a" is no prefix
    ],
)
def test_order_ids(text: str, order_ids: tuple[str, ...]) -> None:
    assert heard_values(text).order_ids == order_ids


@pytest.mark.parametrize(
    "text",
    [
        "one moment please",
        "I ordered two shirts",
        "my pin is 4271",
        "my phone number is 555 123 4567",
        "it cost 1249 dollars",
        "it came on march third twenty twenty six",
        "I waited thirty minutes",
        "no one answered",
        "",
    ],
)
def test_what_is_no_order_id(text: str) -> None:
    assert heard_values(text).order_ids == ()


def test_numbers_hold_what_an_open_question_may_want() -> None:
    assert heard_values("it's seven").numbers == ("7",)
    assert heard_values("my pin is 4271").numbers == ("4271",)
    assert heard_values("it cost fifty dollars on may third").numbers == ()


# --- money, dates, addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("it cost twenty five dollars and fifty cents", Money(25, 50, "USD")),
        ("$1,249.90", Money(1_249, 90, "USD")),
        ("€5", Money(5, 0, "EUR")),
        ("25 euros", Money(25, 0, "EUR")),
        ("12.50 pounds", Money(12, 50, "GBP")),
        ("about a hundred dollars", Money(100, 0, "USD")),
        ("ten pounds fifty", Money(10, 50, "GBP")),
        ("five quid", Money(5, 0, "GBP")),
        ("ninety nine cents", Money(0, 99, "USD")),
        ("two point five million dollars", Money(2_500_000, 0, "USD")),
        ("one thousand two hundred forty-nine dollars", Money(1_249, 0, "USD")),
    ],
)
def test_money(text: str, money: Money) -> None:
    assert heard_values(text).money == (money,)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("march third", HeardDate(3, 3)),
        ("the 3rd of March", HeardDate(3, 3)),
        ("March 3", HeardDate(3, 3)),
        ("on the twenty-third of december", HeardDate(12, 23)),
        ("december thirty first twenty twenty six", HeardDate(12, 31, 2026)),
        ("Nov. 24, 2026", HeardDate(11, 24, 2026)),
        ("2026-11-24", HeardDate(11, 24, 2026)),
        ("may fifth nineteen oh five", HeardDate(5, 5, 1905)),
        ("next Friday", HeardDate(relative="next friday")),
        ("on friday", HeardDate(relative="friday")),
        ("tomorrow", HeardDate(relative="tomorrow")),
        ("the day after tomorrow", HeardDate(relative="day after tomorrow")),
        ("in three days", HeardDate(relative="in 3 days")),
        ("last week", HeardDate(relative="last week")),
    ],
)
def test_dates(text: str, date: HeardDate) -> None:
    assert heard_values(text).dates == (date,)


@pytest.mark.parametrize("text", ["it may take long", "a march of three miles", "2026-13-45", "march forty"])
def test_what_is_no_date(text: str) -> None:
    assert heard_values(text).dates == ()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("jane dot doe at example dot com", "jane.doe@example.com"),
        ("it's Jane.Doe@Example.com.", "jane.doe@example.com"),
        ("my email is j a n e eighty four at g mail dot com please", "jane84@gmail.com"),
        ("jane underscore doe eight four at mail dot example dot co dot uk", "jane_doe84@mail.example.co.uk"),
        ("jane at my dash shop dot org", "jane@my-shop.org"),
        ("jane.doe at example.com", "jane.doe@example.com"),
        ("help at example dot co dot U.K.", "help@example.co.uk"),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert heard_values(text).emails == (address,)


@pytest.mark.parametrize("text", ["look at example dot com", "meet me at noon", "at the dot", "jane at example"])
def test_what_is_no_address(text: str) -> None:
    assert heard_values(text).emails == ()


# --- yes or no ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["yes", "Yeah.", "um, yes please", "that's right", "sure", "OK", "Okay, go on.", "I think so", "mm-hmm", "correct"],
)
def test_yes(text: str) -> None:
    assert yes_or_no(text) is True


@pytest.mark.parametrize(
    "text",
    ["no", "Nope.", "well, no", "no thanks", "that's not right", "not really", "I don't think so", "incorrect", "nah"],
)
def test_no(text: str) -> None:
    assert yes_or_no(text) is False


@pytest.mark.parametrize(
    "text",
    ["", "maybe", "no idea", "not sure", "I don't know", "okay so where is my order now", "no one told me", "yes no"],
)
def test_neither_yes_nor_no(text: str) -> None:
    assert yes_or_no(text) is not True
    assert text == "yes no" or yes_or_no(text) is None


# --- rewriting ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("where is my order eight three one oh two", "where is my order 83102"),
        ("Order 8-3-1-0-2, please.", "Order 83102, please."),
        ("A B dash one two three four", "AB-1234"),
        ("it cost twenty five dollars and fifty cents", "it cost $25.50"),
        ("jane dot doe at example dot com", "jane.doe@example.com"),
        ("at five thirty pm", "at 5:30 pm"),
        ("call me at five five five one two three four", "call me at 5551234"),
        ("one moment please", "one moment please"),
        ("I bought two shirts ten minutes ago", "I bought two shirts ten minutes ago"),
        ("on march third", "on march third"),
        ("no one told me", "no one told me"),
        ("I have three orders", "I have three orders"),
        ("", ""),
    ],
)
def test_normalise(text: str, written: str) -> None:
    assert normalise_heard(text) == written
    assert normalise_heard(written) == written


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            "one two oh zero twenty forty hundred thousand double a at dot com j dash dollars cents march third friday "
            "order no and . , - $ 83102 3 @ in of the next pm to point € million 2026".split()
        ),
        max_size=14,
    ).map(" ".join)
    | st.text(max_size=60)
)
def test_any_text_is_read_without_error(text: str) -> None:
    heard_values(text)
    assert isinstance(normalise_heard(text), str)
