from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voice_agent.conversation.spoken_forms.heard import heard_values
from voice_agent.conversation.spoken_forms.numbers import cardinal_words, ordinal_words, year_words
from voice_agent.conversation.spoken_forms.speakable import speakable, spoken_date


def us(text: str) -> str:
    return speakable(text, locale="en-US")


def gb(text: str) -> str:
    return speakable(text, locale="en-GB")


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        # identifiers
        ("Your order 83102 has shipped.", "Your order eight three one, zero two has shipped."),
        ("order #83102", "order number eight three one, zero two"),
        ("orders 83102 and 83103", "orders eight three one, zero two and eight three one, zero three"),
        ("ORD-10234", "O.R.D. dash one zero two, three four"),
        ("Your code is 4271.", "Your code is four two seven one."),
        ("Call 555-123-4567.", "Call five five five, one two three, four five six seven."),
        ("+44 20 7946 0958", "plus four four, two zero, seven nine four six, zero nine five eight"),
        # dates and times
        ("It arrives on 2026-11-24.", "It arrives on November twenty-fourth, twenty twenty-six."),
        ("by November 24", "by November twenty-fourth"),
        ("Nov 24th, 2026", "November twenty-fourth, twenty twenty-six"),
        ("the 3rd of March", "March third"),
        ("11/24/2026", "November twenty-fourth, twenty twenty-six"),
        ("November 24-26", "November twenty-fourth to twenty-sixth"),
        ("at 2:30 PM", "at two thirty p.m."),
        ("at 14:05", "at two oh five p.m."),
        ("9am–5pm", "nine a.m. to five p.m."),
        ("9-5pm Mon-Fri", "nine to five p.m. Monday to Friday"),
        ("9:00", "nine o'clock"),
        ("It closes at 9 p.m. Then it opens.", "It closes at nine p.m. Then it opens."),
        ("in 2026", "in twenty twenty-six"),
        ("since the 1990s", "since the nineteen nineties"),
        # amounts
        ("$1,249.90", "one thousand two hundred forty-nine dollars and ninety cents"),
        ("$1 or $0.50", "one dollar or fifty cents"),
        ("£2.01", "two pounds and one penny"),
        ("$10-$20", "ten to twenty dollars"),
        ("$5.5 million", "five point five million dollars"),
        ("12.50 euros", "twelve euros and fifty cents"),
        ("10-15% off", "ten to fifteen percent off"),
        ("3.5 stars", "three point five stars"),
        ("1,200 items", "one thousand two hundred items"),
        ("10000 people", "ten thousand people"),
        ("-5°C", "minus five degrees Celsius"),
        ("2.5 kg or 1 kg", "two point five kilograms or one kilogram"),
        ("5-10 kg", "five to ten kilograms"),
        ("3-5 days", "three to five days"),
        ("30-day returns", "thirty-day returns"),
        ("1st, 2nd and 23rd", "first, second and twenty-third"),
        ("1/2 price, 24/7", "one half price, twenty-four seven"),
        ("007", "zero zero seven"),
        # addresses
        ("Write to help@example.com.", "Write to help at example dot com."),
        ("See https://www.example.com/returns?a=1.", "See example dot com slash returns."),
        ("or example.com", "or example dot com"),
        # words
        ("Dr. Smith, 12 Main St.", "Doctor Smith, twelve Main Street"),
        ("e.g. socks & shoes", "for example socks and shoes"),
        ("and/or his/her", "and or his or her"),
        ("items (free) today", "items, free, today"),
        # markup
        ("**Bold** and `code` and [a link](https://x.com/a)", "Bold and code and a link"),
        ("# Title\n\n- one\n- two", "Title. one. two"),
        ("<speak>Hi <b>there</b></speak> 😀 :)", "Hi there"),
        ("fish &amp; chips", "fish and chips"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b. one, two"),
        ("“Quoted” text…", "Quoted text..."),
    ],
)
def test_american(text: str, spoken: str) -> None:
    assert us(text) == spoken


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("£1,249.90", "one thousand two hundred and forty-nine pounds and ninety pence"),
        ("24 November 2026", "the twenty-fourth of November, twenty twenty-six"),
        ("24/11/2026", "the twenty-fourth of November, twenty twenty-six"),
        ("by November 24", "by the twenty-fourth of November"),
        ("105 items, 3 km", "one hundred and five items, three kilometres"),
    ],
)
def test_british(text: str, spoken: str) -> None:
    assert gb(text) == spoken
    assert speakable(text, locale="en-AU") == spoken


def test_other_languages_pass_through_cleaned() -> None:
    assert speakable("**Su pedido 83102** llegó. 😀", locale="es-ES") == "Su pedido 83102 llegó."
    assert speakable("طلبك *83102*", locale="ar-SA") == "طلبك 83102"


@pytest.mark.parametrize("text", ["", "   ", "😀", "**", "---", "<br/>", "…", "()", "| |"])
def test_nothing_to_say(text: str) -> None:
    assert us(text) == ""


def test_dates_for_templates() -> None:
    assert spoken_date(11, 24, locale="en-US") == "November twenty-fourth"
    assert spoken_date(11, 24, 2026, locale="en-GB") == "the twenty-fourth of November, twenty twenty-six"
    with pytest.raises(ValueError, match="day 32"):
        spoken_date(11, 32, locale="en-US")


PIECES = st.sampled_from(
    "order 83102 # $ 3.50 1,249.90 2026-11-24 11/24/2026 9:30 25:99 pm am - – 5 % kg ° km/h 1st 3rd help@example.com "
    "example.com http://a.b/c Dr. St. No. e.g. ( ) [ ] * ** _ ` | < > & + = / \\ 0 00 AB-1234 ORD 4K 1/2 ½ Nov 24 may "
    "mon-fri x3 £ € . , : ; ! ? … -5 +1 (555) 123-4567 in 2026 1990s 99999999999999999999 ٣ 😀 \n - 1.".split(" ")
)


@settings(max_examples=800, deadline=None)
@given(st.lists(PIECES, max_size=10).map(" ".join) | st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=60))
def test_only_words_are_left(text: str) -> None:
    spoken = us(text)
    assert not re.search(r"\d", spoken)
    assert not re.search(r'[#*_`|<>\[\]{}()@$£€%&=°"/\\]', spoken)
    assert spoken == spoken.strip()


# --- what is said is heard as the same ---------------------------------------------------------------------------

LOCALES = st.sampled_from(["en-US", "en-GB"])


@given(st.integers(10_000, 99_999).filter(lambda value: value % 1_000), LOCALES)
def test_order_numbers_come_back(order: int, locale: str) -> None:
    for text in (f"order {order}", f"Your order {order} has shipped.", f"It is {order}."):
        assert heard_values(speakable(text, locale=locale)).order_ids == (str(order),)


@given(st.from_regex(r"[A-Z]{2,3}-[0-9]{3,7}", fullmatch=True), LOCALES)
@example("ARE-000", "en-US")
def test_codes_with_letters_come_back(code: str, locale: str) -> None:
    # "O" said as a letter is a zero, "ID 123" is the number 123, "IDA" is spoken as "ID, A".
    if "O" not in code and not code.startswith("ID") and code.partition("-")[0] not in ("IS", "NR", "PIN"):
        assert (
            heard_values(speakable(f"order {code}", locale=locale)).order_ids == heard_values(code).order_ids == (code,)
        )


@given(st.integers(0, 99_999), st.integers(0, 99), st.sampled_from("$£€"), LOCALES)
def test_money_comes_back(whole: int, hundredths: int, sign: str, locale: str) -> None:
    text = f"{sign}{whole:,}.{hundredths:02}"
    written = heard_values(text).money
    assert written[0].whole == whole
    spoken = heard_values(f"It costs {speakable(text, locale=locale)} in total").money
    # "fifty cents" alone does not tell dollars from euros
    same = written if whole or sign != "€" or not hundredths else (written[0].__class__(0, hundredths, "USD"),)
    assert spoken == same


@given(st.dates(), LOCALES)
def test_dates_come_back(date: object, locale: str) -> None:
    if "1900" <= str(date)[:4] <= "2099":
        text = f"It arrives on {date}."
        assert heard_values(speakable(text, locale=locale)).dates == heard_values(text).dates != ()


@given(st.from_regex(r"[a-z]{3,8}([._-][a-z]{3,8})?[0-9]{0,3}@[a-z]{3,9}\.(com|org|co\.uk)", fullmatch=True), LOCALES)
def test_addresses_come_back(address: str, locale: str) -> None:
    number_words = re.search(
        r"\b(dot|dash|plus|one|two|six|ten|oh|zero|minus|and|are)\b", re.sub(r"[\d_]", " ", address)
    )
    written = heard_values(address).emails
    if written == (address,) and not number_words:
        assert heard_values(speakable(f"Write to {address}", locale=locale)).emails in ((address,),)


# --- number words ------------------------------------------------------------------------------------------------


def test_number_words() -> None:
    assert cardinal_words(0) == "zero"
    assert cardinal_words(-21) == "minus twenty-one"
    assert cardinal_words(1_000_005, joined=True) == "one million and five"
    assert cardinal_words(110, joined=True) == "one hundred and ten"
    assert ordinal_words(12) == "twelfth"
    assert ordinal_words(20) == "twentieth"
    assert ordinal_words(101) == "one hundred first"
    assert ordinal_words(1_000) == "one thousandth"
    assert [year_words(year) for year in (1900, 1905, 1984, 2000, 2005, 2010, 2026)] == [
        "nineteen hundred",
        "nineteen oh five",
        "nineteen eighty-four",
        "two thousand",
        "two thousand five",
        "twenty ten",
        "twenty twenty-six",
    ]
