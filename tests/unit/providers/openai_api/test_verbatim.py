"""Reading aloud and rewording told apart."""

from __future__ import annotations

import pytest

from voice_agent.conversation.spoken_forms.speakable import speakable
from voice_agent.providers.openai_api.verbatim import VerbatimCheck

ORDER = "Your order 83102 ships on 2026-11-24 at 5:30 PM, for $12.50."
ASKED = speakable(ORDER, locale="en-US")


@pytest.mark.parametrize(
    "transcript",
    [
        ASKED,
        ORDER,
        "Your order eight three one oh two ships on November 24th, 2026 at 5:30 p.m. for twelve dollars and fifty cents.",
        "your order 8-3-1-0-2 ships on November twenty-fourth twenty twenty-six at 5:30 PM for $12.50",
    ],
)
def test_ways_to_write_the_same_words(transcript: str) -> None:
    assert VerbatimCheck(ASKED, locale="en-US").is_read(transcript)


@pytest.mark.parametrize(
    "transcript",
    [
        ORDER.replace("83102", "83103"),
        ORDER.replace("12.50", "15.20"),
        ORDER.replace("ships", "does not ship"),
        ORDER + " Is there anything else I can help you with?",
        "Your order 83102 ships",
        "Sure! Here it is: " + ORDER,
        "I'm sorry, I can't help with that.",
        "",
    ],
)
def test_rewording_is_noticed(transcript: str) -> None:
    assert not VerbatimCheck(ASKED, locale="en-US").is_read(transcript)


@pytest.mark.parametrize(
    ("asked", "transcript", "same"),
    [
        ("OK.", "Okay", True),
        ("Yes.", "Sure.", False),
        ("What colour is it?", "What color is it?", True),
        ("UPS has your parcel.", "U.P.S. has your parcel", True),
        ("You can't return it.", "You can not return it.", True),
        ("You can't return it.", "You can return it.", False),
        ("It is not late.", "It is late.", False),
        ("Write to help at shop dot com.", "Write to help@shop.com.", True),
        ("One moment, please.", "1 moment please", True),
        ("Goodbye.", "Goodbye! Have a nice day!", False),
        ("Mister Jones has it.", "Mr. Jones has it.", True),
    ],
)
def test_short_texts(asked: str, transcript: str, same: bool) -> None:
    assert VerbatimCheck(asked, locale="en-US").is_read(transcript) is same


@pytest.mark.parametrize(
    ("locale", "asked", "transcript", "same"),
    [
        ("es-ES", "¿Está listo mi pedido?", "¿esta listo mi pedido?", True),
        ("es-ES", "¿Está listo mi pedido?", "Claro, aquí tiene.", False),
        ("fr-FR", "Il arrive le 24 novembre.", "Il arrive le vingt-quatre novembre.", True),
        ("ar-SA", "طلبك في الطريق", "طلبك في الطريق.", True),
        ("ja-JP", "ご注文は発送されました。", "ご注文は発送されました", True),
        ("ja-JP", "ご注文は発送されました。", "申し訳ございません、お手伝いできません。", False),
        ("xx", "", "", True),
    ],
)
def test_other_languages(locale: str, asked: str, transcript: str, same: bool) -> None:
    assert VerbatimCheck(asked, locale=locale).is_read(transcript) is same


def test_no_beginning_of_a_reading_strays() -> None:
    check = VerbatimCheck(ASKED, locale="en-US")
    for transcript in (ASKED, ORDER):
        assert not any(check.strays(transcript[:end]) for end in range(len(transcript) + 1))


def test_straying_is_noticed_before_the_end() -> None:
    check = VerbatimCheck("Your parcel will reach you on Friday before noon, if nothing goes wrong.", locale="en-US")
    strayed = "I am sorry to hear that you have trouble with it"
    noticed = next(end for end in range(len(strayed)) if check.strays(strayed[:end]))
    assert noticed < len("I am sorry to hear that you have")


def test_going_on_after_the_end_is_noticed() -> None:
    check = VerbatimCheck("Your parcel is on its way.", locale="en-US")
    assert check.strays("Your parcel is on its way. Would you like me to check anything else for you today?")


@pytest.mark.parametrize(
    "transcript",
    [ORDER, "Your order has not been shipped, but it may be soon, and I can tell you more about it if you like that."],
)
def test_a_transcript_that_grows_or_begins_anew_is_judged_as_if_it_came_at_once(transcript: str) -> None:
    check = VerbatimCheck(ASKED, locale="en-US")
    for end in (*range(len(transcript) + 1), 30, 12, *range(0, len(transcript), 7)):
        part = transcript[:end]
        assert check.strays(part) is VerbatimCheck(ASKED, locale="en-US").strays(part)
