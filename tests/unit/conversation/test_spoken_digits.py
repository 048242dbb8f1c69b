"""Secret capture: every digit is found, none survives in the redacted text, and other talk is left alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from voice_agent.conversation.spoken_forms.digits import PLACEHOLDER, digit_runs
from voice_agent.conversation.spoken_forms.english import NUMBERS, TEENS, TENS, UNITS
from voice_agent.conversation.spoken_forms.numbers import cardinal_words

# --- spellings of a PIN ------------------------------------------------------------------------------------------

PINS = st.text("0123456789", min_size=4, max_size=8)
ZEROS = ("zero", "oh", "O", "nought")


@st.composite
def one_digit(draw: st.DrawFn, digit: str, *, first: bool) -> str:
    if digit == "0" and not first:
        return draw(st.sampled_from(ZEROS))
    return UNITS[int(digit)]


@st.composite
def pair(draw: st.DrawFn, digits: str) -> str:
    """Two digits as one number word; "05" has none."""
    value = int(digits)
    if value < 20:
        return TEENS[value - 10]
    tens, unit = TENS[value // 10 - 2], value % 10
    if not unit:
        return tens + ","  # "forty five" is 45: a pause makes it 40, 5
    return tens + draw(st.sampled_from([" ", "-", ""])) + UNITS[unit]


@st.composite
def spelling(draw: st.DrawFn, pin: str) -> str:
    """Words: digits, pairs, doubles and triples, literal groups, with pauses and fillers anywhere between."""
    pieces: list[str] = []
    at = 0
    while at < len(pin):
        ways = ["digit", "literal"]
        if at + 1 < len(pin) and pin[at] != "0":
            ways.append("pair")
        if pin[at : at + 2] == pin[at] * 2:
            ways.append("double")
        if pin[at : at + 3] == pin[at] * 3:
            ways.append("triple")
        way = draw(st.sampled_from(ways))
        if way == "digit":
            pieces.append(draw(one_digit(pin[at], first=at == 0)))
            at += 1
        elif way == "literal":
            size = draw(st.integers(1, min(3, len(pin) - at)))
            pieces.append(pin[at : at + size] + ("," if size < 4 else ""))
            at += size
        elif way == "pair":
            pieces.append(draw(pair(pin[at : at + 2])))
            at += 2
        else:
            size = 2 if way == "double" else 3
            pieces.append(f"{way} {UNITS[int(pin[at])]}")
            at += size
    text = pieces[0]
    for piece in pieces[1:]:
        gaps = [" ", ", ", " ... ", " um ", ", uh, ", " and ", " then ", "; ", " - "]
        text += draw(st.sampled_from(gaps)) + piece
    return text


@st.composite
def written(draw: st.DrawFn, pin: str) -> str:
    """Literal digits with one kind of separator between some of them."""
    separator = draw(st.sampled_from(["", " ", "-", ", ", ". ", ".", " – ", "/"]))
    text = pin[0]
    for digit in pin[1:]:
        text += draw(st.sampled_from([separator, ""])) + digit
    return text


INTRODUCTIONS = (
    "",
    "um, ",
    "it's ",
    "my pin is ",
    "Yes, my PIN is, uh, ",
    "Sure. It's ",
    "okay so it's ",
    "the code is: ",
)
ENDINGS = ("", ".", " please.", ", thanks.", ", okay?")


@st.composite
def utterance(draw: st.DrawFn) -> tuple[str, str]:
    pin = draw(PINS)
    body = draw(st.one_of(spelling(pin), written(pin)))
    text = draw(st.sampled_from(INTRODUCTIONS)) + body + draw(st.sampled_from(ENDINGS))
    return pin, draw(st.sampled_from([text, text.upper(), text.capitalize()]))


NUMBER_WORDS = (
    set(NUMBERS.digits) | set(NUMBERS.teens) | set(NUMBERS.tens) | set(NUMBERS.repeats) | set(NUMBERS.plural_digits)
) - {"o"}


def survivors(redacted: str) -> list[str]:
    """Digits and number words that are still to be read."""
    words = re.findall(r"\d+|[^\W\d_]+", redacted.replace(PLACEHOLDER, " ").lower())
    return [word for word in words if word.isdecimal() or word in NUMBER_WORDS or any(t in word for t in TENS)]


@settings(max_examples=1_500, deadline=None)
@given(utterance())
def test_no_spelling_of_a_pin_survives(spoken: tuple[str, str]) -> None:
    pin, text = spoken
    for lenient in (False, True):
        found = digit_runs(text, lenient=lenient, length=len(pin))
        assert survivors(found.redacted) == []
        assert found.attempt == pin
        assert found.candidate(len(pin)) == pin
        assert not found.corrected


@settings(max_examples=300, deadline=None)
@given(utterance())
def test_the_length_need_not_be_known(spoken: tuple[str, str]) -> None:
    pin, text = spoken
    assume(not pin.endswith("0"))  # a last "oh" is a zero or a sigh: only the length tells
    found = digit_runs(text)
    assert survivors(found.redacted) == []
    assert found.attempt == pin


CORRECTIONS = (", no sorry, ", " no wait ", ", I mean ", "... scratch that, ", ", sorry, it's ", ". No. My PIN is ")


@settings(max_examples=500, deadline=None)
@given(data=st.data(), pin=PINS, wrong=st.text("123456789", min_size=1, max_size=8))
def test_a_correction_replaces_what_was_said(data: st.DataObject, pin: str, wrong: str) -> None:
    text = data.draw(spelling(wrong)) + data.draw(st.sampled_from(CORRECTIONS)) + data.draw(spelling(pin))
    found = digit_runs(text, length=len(pin))
    assert survivors(found.redacted) == []
    assert found.attempt == pin
    assert found.candidate(len(pin)) == pin
    assert found.corrected
    assert "".join(found.runs) == wrong + pin


@given(st.integers(1_000, 99_999_999), st.booleans())
def test_cardinals_are_read_as_their_digits(value: int, joined: bool) -> None:
    found = digit_runs(cardinal_words(value, joined=joined))
    assert found.runs == (str(value),)
    assert found.redacted == PLACEHOLDER


@settings(max_examples=300, deadline=None)
@given(data=st.data(), pin=st.text("1248", min_size=4, max_size=6))
def test_homophones_count_where_digits_are_missing(data: st.DataObject, pin: str) -> None:
    """A recogniser may write any of the digits but two as another word."""
    sound = {"1": "won", "2": "to", "4": "for", "8": "ate"}
    sure = data.draw(st.sets(st.integers(0, len(pin) - 1), min_size=2, max_size=len(pin)))
    words = [UNITS[int(digit)] if at in sure else sound[digit] for at, digit in enumerate(pin)]
    found = digit_runs("it's " + " ".join(words), lenient=True, length=len(pin))
    assert found.attempt == pin
    assert found.redacted == f"it's {PLACEHOLDER}"


# --- single cases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("four two seven one", "4271"),
        ("Four, two, seven, one.", "4271"),
        ("forty-two seventy-one", "4271"),
        ("fourty two seventy one", "4271"),
        ("double four oh one", "4401"),
        ("triple seven two", "7772"),
        ("double 7, 2 1", "7721"),
        ("two fours and two sevens", "4477"),
        ("4 2 7 1", "4271"),
        ("4271", "4271"),
        ("4-2-7-1", "4271"),
        ("4,271", "4271"),
        ("forty two, seven, one", "4271"),
        ("forty two hundred and seventy one", "4271"),
        ("four thousand two hundred seventy-one", "4271"),
        ("ten thousand two hundred thirty four", "10234"),
        ("83 thousand 102", "83102"),
        ("eighty three one zero two", "83102"),
        ("eight-three-one-oh-two", "83102"),
        ("nineteen eighty four", "1984"),
        ("twenty twenty", "2020"),
        ("one one one one", "1111"),
        ("oh one oh one", "0101"),
        ("٤٢٧١", "4271"),
        ("It's four two... um... seven, and then one.", "4271"),
        ("pin4271", "4271"),
        ("the last digit is one", "1"),
        ("one", "1"),
    ],
)
def test_digits_are_read(text: str, digits: str) -> None:
    found = digit_runs(text)
    assert found.attempt == digits
    assert survivors(found.redacted) == []


@pytest.mark.parametrize(
    "text",
    [
        "one moment please",
        "One second.",
        "just give me two minutes",
        "I've been waiting for ten minutes",
        "I want to talk to a human",
        "no one told me",
        "I don't have one",
        "which one do you mean",
        "the first one",
        "one of your colleagues told me that",
        "Oh, okay.",
        "oh no",
        "what for",
        "I'd like to speak to someone, too",
        "I ate too much",
        "it takes five to seven days",
        "two or three orders",
        "why do you need that",
        "",
        "¾ ⁴ …",
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_other_talk_yields_no_digits(text: str, lenient: bool) -> None:
    found = digit_runs(text, lenient=lenient, length=4)
    assert found.runs == ()
    assert found.redacted == text


@pytest.mark.parametrize(
    ("text", "attempt"),
    [
        ("my pin is four to seven one", "4271"),
        ("for two seven one", "4271"),
        ("it's four two seven won", "4271"),
        ("to ate for won", "2841"),
        ("I'm looking for two seven one", "271"),  # "for" belongs to the verb
        ("I am calling for 4271", "4271"),
        ("oh four two seven one", "4271"),  # four digits were asked for
        ("oh, two seven one", "0271"),
    ],
)
def test_homophones_when_four_digits_are_asked_for(text: str, attempt: str) -> None:
    assert digit_runs(text, lenient=True, length=4).attempt == attempt


def test_homophones_are_words_unless_lenient() -> None:
    assert digit_runs("4 to 7 1").runs == ("4", "71")


def test_an_exclamation_is_no_zero() -> None:
    assert digit_runs("Oh, four two seven one").runs == ("4271",)
    assert digit_runs("oh four two seven one").runs == ("04271",)
    assert digit_runs("four two seven oh").runs == ("4270",)
    assert digit_runs("four two seven one oh I see").runs == ("4271",)


def test_a_code_said_twice_is_one_code() -> None:
    assert digit_runs("4271, 4271").candidate(4) == "4271"
    assert digit_runs("four two seven one four two seven one").candidate(4) == "4271"
    assert digit_runs("four two seven one, I repeat, four two seven one").candidate(4) == "4271"


def test_another_number_beside_the_code() -> None:
    found = digit_runs("my order is 83102 and my PIN is forty two seventy one")
    assert found.runs == ("83102", "4271")
    assert found.candidate(4) == "4271"
    assert found.redacted == f"my order is {PLACEHOLDER} and my PIN is {PLACEHOLDER}"
    assert digit_runs("83102 and 83103").runs == ("83102", "83103")


@pytest.mark.parametrize("text", ["four two seven one, no wait", "4271 no that's wrong", "four two - scratch that"])
def test_digits_may_be_withdrawn(text: str) -> None:
    found = digit_runs(text)
    assert found.attempt == ""
    assert found.candidate(4) is None
    assert found.corrected
    assert survivors(found.redacted) == []


def test_politeness_withdraws_nothing() -> None:
    assert digit_runs("four two seven one, sorry").candidate(4) == "4271"
    assert digit_runs("four two seven one and I have no time for this").candidate(4) == "4271"


def test_a_correction_alone_voids_what_was_collected_before() -> None:
    assert digit_runs("no, sorry").corrected
    assert digit_runs("no, seven one").corrected
    assert not digit_runs("no one told me about that").corrected
    assert not digit_runs("seven one").corrected


def test_too_few_or_too_many_digits_are_no_candidate() -> None:
    assert digit_runs("four two seven").candidate(4) is None
    assert digit_runs("four two seven one nine").candidate(4) is None
    assert digit_runs("hello").candidate(4) is None


def test_an_ordinal_is_no_code_but_its_digit_goes() -> None:
    found = digit_runs("the 3rd of March")
    assert found.runs == ()
    assert found.redacted == f"the {PLACEHOLDER}rd of March"


def test_long_text_is_read_in_linear_time() -> None:
    text = "four two seven one and so on " * 2_000
    assert len(digit_runs(text).runs) == 2_000
