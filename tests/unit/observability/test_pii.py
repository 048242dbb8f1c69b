"""What counts as personal data, what does not, and that masking can be repeated."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.observability.test_pii_snippets import snippets

from voice_agent.observability.pii import PiiKind, PiiSpan, find_pii, mask, mask_any, passes_luhn
from voice_agent.observability.pii.digits import tokens_of

MASKED = [
    # cards
    ("my card is 4111 1111 1111 1111 thanks", "my card is [CARD] thanks"),
    ("4111-1111-1111-1111", "[CARD]"),
    ("it is 4111111111111111.", "it is [CARD]."),
    ("amex 3782 822463 10005", "amex [CARD]"),
    ("four one one one one one one one one one one one one one one one", "[CARD]"),
    ("four triple one, quadruple", "four triple one, quadruple"),
    ("four one double one double one double one double one double one double one one one", "[CARD]"),
    ("4111, 1111, 1111, 1111", "[CARD]"),
    ("my card is 4111 1111 1111 1112", "my card is [NUMBER]"),  # misheard: fails the check digit, still private
    ("the c vv is five five eight", "the c vv is [CVV]"),
    # social security
    ("it's 123-45-6789 ok", "it's [SSN] ok"),
    ("my social is 123456789", "my social is [SSN]"),
    ("my social security number is one two three four five six seven eight nine", "my social security number is [SSN]"),
    # phones
    ("call me at (415) 555-2671 please", "call me at [PHONE] please"),
    ("+1 415 555 2671", "[PHONE]"),
    ("1-800-555-0199", "[PHONE]"),
    ("555-0100", "[PHONE]"),
    ("caller +15550100", "caller [PHONE]"),
    ("+44 20 7946 0958 or 07700 900123", "[PHONE] or [PHONE]"),
    ("tel 06 12 34 56 78", "tel [PHONE]"),
    ("06.12.34.56.78", "[PHONE]"),
    ("+966 50 123 4567", "[PHONE]"),
    ("٠٥٠١٢٣٤٥٦٧", "[PHONE]"),
    ("+61 412 345 678", "[PHONE]"),
    ("+34 612 345 678", "[PHONE]"),
    ("+49 30 901820 and +81 3-3224-9999", "[PHONE] and [PHONE]"),
    ("call me at four one five five five five two six seven one", "call me at [PHONE]"),
    ("four one five, um, five five five, two six seven one", "[PHONE]"),
    ("it's oh seven seven double oh nine hundred one two three", "it's [PHONE]"),
    ("my number is 98765 43210", "my number is [PHONE]"),
    ("plus one four one five five five five two six seven one", "[PHONE]"),
    # mail
    ("write to jane.doe+shop@mail.example.co.uk.", "write to [EMAIL]."),
    ("jane at example dot com", "[EMAIL]"),
    ("it's jane dot doe at example dot co dot uk okay", "it's [EMAIL] okay"),
    ("jane underscore doe 42 at mail dot example dot org", "[EMAIL]"),
    ("my email is j a n e dot d at gmail dot com thanks", "my email is [EMAIL] thanks"),
    ("jane at example.com", "[EMAIL]"),
    ("ana arroba ejemplo punto es", "[EMAIL]"),
    ("Jane @ Example dot Com", "[EMAIL]"),
    # bank accounts
    ("GB82 WEST 1234 5698 7654 32", "[IBAN]"),
    ("DE89370400440532013000", "[IBAN]"),
    # PINs
    ("my pin is 4271", "my pin is [PIN]"),
    ("pin four two seven one", "pin [PIN]"),
    ("My PIN is four, two, seven, one.", "My PIN is [PIN]."),
    ("it is pin: 4 2 7 1", "it is pin: [PIN]"),
    ("my passcode is forty-two seventy-one", "my passcode is [PIN]"),
    ("the security code is nine oh five", "the security code is [PIN]"),
    ("the pin's digits are double four one two", "the pin's digits are [PIN]"),
    ("4271 is my pin", "[PIN] is my pin"),
    ("four two seven one is my pin", "[PIN] is my pin"),
    ("mi clave es cuatro dos siete uno", "mi clave es [PIN]"),
    ("mon code secret est quatre deux sept un", "mon code secret est [PIN]"),
    ("رقمي السري ٤٢٧١", "رقمي السري [PIN]"),
    ('{"pin": "4271", "order": "83102"}', '{"pin": "[PIN]", "order": "83102"}'),
    # other long numbers
    ("customer 1 2 3 4 5 6 7", "customer [NUMBER]"),
    # phones beside a card, and cards that are called one's number
    ("about my card, my number is 503 555 0143", "about my card, my number is [PHONE]"),
    ("about my card my number is five oh three five five five oh one four three", "about my card my number is [PHONE]"),
    ("I want to change my card, 503 555 0143 is my number", "I want to change my card, [PHONE] is my number"),
    ("es por mi tarjeta, mi número es 612 345 678", "es por mi tarjeta, mi número es [PHONE]"),
    ("c'est pour ma carte, mon numéro est 06 12 34 56 78", "c'est pour ma carte, mon numéro est [PHONE]"),
    ("my card number is 503 555 0143", "my card number is [NUMBER]"),
    ("my card, the number is 4539148803", "my card, the number is [NUMBER]"),
    ("my card, my number is 4539 1488 03", "my card, my number is [NUMBER]"),
    ("my card, my number is 3714 496353 98431", "my card, my number is [CARD]"),
    ("my card, my number is 371449635398432", "my card, my number is [NUMBER]"),
    # a card's back
    ("my card, on the back it says 482", "my card, on the back it says [CVV]"),
    ("4539 1488 0343 6467, and on the back there is 482", "[CARD], and on the back there is [CVV]"),
    ("on the back of my card it says 482", "on the back of my card it says [CVV]"),
    ("the security code, on the back it's 482", "the security code, on the back it's [CVV]"),
]

PLAIN = [
    "",
    "hello, what can you do for me?",
    "order 83102",
    "83102",
    "83102 83103",
    "orders 83102, 83103 and 83104",
    "eight three one oh two",
    "order eight three one oh two, eight three one oh three",
    "order number 10000234",
    "my pin for order 83102 does not work",
    "I forgot my PIN. It is about order 83102.",
    "please say the four digits of your PIN",
    "on 22/11/2026 at 10:30",
    "2026-11-22 18:34:00",
    "2026-11-22T18:34:00.123456+00:00",
    "22.11.2026, 22-11-26 and 11 22 2026",
    "November 22, 2026 or Sept 14 2026",
    "from 2024, 2025 2026",
    "it cost $1,234,567.89 or 1.234.567,89 euros",
    "forty nine dollars and ninety nine cents",
    "12.50 dollars and 1,000,000 users, 99.95 %",
    "we are open from nine to five thirty, Monday to Friday",
    "the first two of three orders, one for my son and two for me",
    "twenty four seven three six five",
    "I ordered 2 shirts on May 3 and 2 shoes, size 42, 30 days ago",
    "sizes 38, 40, 42, 44 and 46",
    "192.168.100.200:5432",
    "550e8400-e29b-41d4-a716-446655440000",
    "parcel JP123456789GB",
    "0.123456789 and 3.14159265358979",
    "visit us at example dot com",
    "look at this dot on the page",
    "look at the dot",
    "flight GB82 at gate 12",
    "there is a label on the back, it says 250 watts",
    "on the back it says 1234",
    "print on the back there is 2024",
]


@pytest.mark.parametrize(("text", "expected"), MASKED)
def test_personal_data_is_replaced(text: str, expected: str) -> None:
    assert mask(text) == expected


@pytest.mark.parametrize("text", PLAIN)
def test_the_rest_stays(text: str) -> None:
    assert find_pii(text) == []
    assert mask(text) == text


# Letters that are numbers and no digits, that have a longer small form, or none; and digits of other scripts.
ODD = ["²", "①", "½", "Ⅷ", "İ", "ß", "ǅ", "_", "\u0307", "ـ"]


@pytest.mark.parametrize("sign", ODD)
@pytest.mark.parametrize("number", ["FOUR one five FIVE five five two six seven one", "415 555 2671", "٤١٥ ٥٥٥ ٢٦٧١"])
def test_odd_letters_beside_a_number_hide_nothing(sign: str, number: str) -> None:
    masked = mask(f"{sign} my phone is {number}, {sign} my pin is four two seven one {sign}")
    assert masked == f"{sign} my phone is [PHONE], {sign} my pin is [PIN] {sign}"
    assert mask(f"born on 3 March 1982{sign}") == f"born on [BIRTHDAY]{sign}"


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(["a", "É", "ع", "1", "٣", " ", "’", "-", "\n", *ODD], max_size=40))
def test_words_and_digit_groups_are_told_apart_by_what_they_are_made_of(text: str) -> None:
    assert tokens_of(text) == re.findall(r"\d+|[^\W\d_]+", text)


def test_spans_say_what_and_where() -> None:
    text = "a@b.com or +1 415 555 2671"
    assert find_pii(text) == [PiiSpan(PiiKind.EMAIL, 0, 7), PiiSpan(PiiKind.PHONE, 11, 26)]
    assert text[11:26] == "+1 415 555 2671"


PIECES = st.sampled_from(
    [text for text, _ in MASKED]
    + PLAIN
    + [kind.placeholder for kind in PiiKind]
    + [snippet.text for snippet in snippets()]
    + ODD
    + "pin passcode is my order number at dot com jane @ + ( ) - . , / : % 7 42 555 83102 4111 one two double".split()
)
MIXED = st.lists(st.tuples(PIECES, st.sampled_from([" ", "", ", ", ". ", "-", "\n"])), max_size=8).map(
    lambda parts: "".join(piece + gap for piece, gap in parts)
)


@settings(deadline=None)
@given(MIXED | st.text(max_size=60) | st.text("0123456789 -.+()@pin[]", max_size=40))
def test_masking_twice_is_masking_once(text: str) -> None:
    once = mask(text)
    assert mask(once) == once
    assert find_pii(once) == []
    assert len(once) <= 10 * len(text)  # "[BIRTHDAY]" for a single digit is the worst there could be


@settings(deadline=None)
@given(st.integers(10**11, 10**17).map(str), st.sampled_from(["", " ", "-"]), st.integers(2, 5))
def test_no_card_comes_through_however_it_is_grouped(digits: str, gap: str, size: int) -> None:
    check = next(d for d in "0123456789" if passes_luhn(digits + d))
    card = digits + check
    grouped = gap.join(card[at : at + size] for at in range(0, len(card), size))
    assert mask(f"it is {grouped} okay") == "it is [CARD] okay"


def test_luhn() -> None:
    assert passes_luhn("4111111111111111")
    assert passes_luhn("378282246310005")
    assert not passes_luhn("4111111111111112")
    assert not passes_luhn("0000000000000000")


def test_any_shape_is_masked_at_every_depth() -> None:
    value = {"a@b.com": ["call +1 415 555 2671", {"n": ("my pin is 4271", 7, None)}], "call_id": "4155552671"}
    assert mask_any(value, skip=frozenset({"call_id"})) == {
        "[EMAIL]": ["call [PHONE]", {"n": ("my pin is [PIN]", 7, None)}],
        "call_id": "4155552671",
    }


HOSTILE = [
    *(
        "a ",
        "1 ",
        " ",
        "pin ",
        "pin is ",
        "one ",
        "a@",
        "a at ",
        "1-",
        "order ",
        "dot ",
        "x dot ",
        "1.2.",
        "١",
        "+",
        "GB82 ",
    ),
    *(
        "[PHONE",
        "my address is ",
        "I live at 1 ",
        "12 Main Street ",
        "12 Main ",
        "born on ",
        "born 1 ",
        "March ",
        "de 3 ",
    ),
    *("my email is a ", "a dot b at ", "one at a dot com ", "4111 1111 1111 1111 ", "4111 1111 1111 111", "1Z", "IE-"),
    *("AA 123 ", "calle A ", "شارع ا ", "1,234,", "$1", "12:34:", "1 x ", "2026-11-", "الرقم السري ", "وعشرين خمسة "),
    *("quatre vingt dix ", "once ", "p.i.n. ", "dob ", "[PIN]"),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_hangs_it_or_makes_it_grow(piece: str) -> None:
    """A pattern that backtracks would not come to an end here. How the time grows is shown by ``benchmarks/pii.py``."""
    text = (piece * 10_000)[:10_000] + " 4155552671"
    masked = mask(text)
    assert mask(masked) == masked
    assert len(masked) <= 4 * len(text)
    assert "4155552671" not in masked
