"""How far an answer with a shape has come."""

from __future__ import annotations

import pytest

from voice_agent.conversation.answer_shapes import Lengths, Progress, begun_unasked, progress
from voice_agent.conversation.locales import resolve_locale
from voice_agent.models import OpenQuestion

N, B, W, L, H = Progress.NONE, Progress.BEGUN, Progress.WHOLE, Progress.LONGER, Progress.HIDDEN


def check(text: str, question: OpenQuestion, locale: str = "en-US") -> Progress:
    return progress(text, question, resolve_locale(locale), Lengths(order=5, secret=4))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("eight three one", B),
        ("eight three one oh two", W),
        ("Yeah it's eight three one oh two", W),
        ("83102, I think.", W),
        ("eight three one oh two seven", L),
        ("Eighty-three one", B),
        ("Sure, it's eighty three one oh two.", W),
        ("nine four double one", B),
        ("nine four double one seven", W),
        ("It's seventy four double nine one", W),
        ("8, 3, 1, 0.", B),
        ("[PIN]", B),
        ("A [PIN].", W),  # "eight three one oh two", heard as a letter and four digits
        ("eight three one, no, eight three", B),
        ("I don't have it with me", N),
        ("I have two of them here", N),
        ("oh", N),
        ("", N),
    ],
)
def test_an_order_number_in_english(text: str, expected: Progress) -> None:
    assert check(text, OpenQuestion.ORDER_NUMBER) is expected


@pytest.mark.parametrize(
    ("locale", "text", "expected"),
    [
        ("es-ES", "es el ocho tres uno", B),
        ("es-ES", "es el ocho tres uno cero dos", W),
        ("fr-FR", "c'est le huit trois", B),
        ("fr-FR", "c'est le huit trois un zéro deux", W),
        ("ar-SA", "ثمانية ثلاثة واحد", B),
        ("ar-SA", "ثمانية ثلاثة واحد صفر اثنان", W),
        ("ar-SA", "٨٣١٠٢", W),
    ],
)
def test_an_order_number_in_other_languages(locale: str, text: str, expected: Progress) -> None:
    assert check(text, OpenQuestion.ORDER_NUMBER, locale) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("five five five", B),
        ("five five five one two three", B),
        ("five five five one two three four five six seven", L),
        ("My number is [PHONE]", H),
        ("It is [NUMBER]", H),
        ("[NUMBER 2]", H),
        ("My number is [PHONE 2]", H),
        ("I'd rather not say", N),
    ],
)
def test_a_telephone_number(text: str, expected: Progress) -> None:
    assert check(text, OpenQuestion.PHONE) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's john", B),
        ("john dot", B),
        ("it's john dot smith", B),
        ("it's john dot smith at", B),
        ("it's john dot smith at example", B),
        ("it's john dot smith at example dot", B),
        ("it's john dot smith at example dot com", W),
        ("john.smith@example.org", W),
        ("john at example dot co", L),
        ("john at example dot co dot uk", W),
        ("j o h n", B),
        ("John Smith example.com", L),
        ("It's [EMAIL].", W),
        ("I don't have an e-mail address", N),
        ("I'd rather not say.", N),
    ],
)
def test_an_email_address(text: str, expected: Progress) -> None:
    assert check(text, OpenQuestion.EMAIL) is expected


@pytest.mark.parametrize(
    ("locale", "text", "expected"),
    [
        ("es-ES", "juan punto garcía", B),
        ("es-ES", "juan arroba correo punto es", W),
        ("fr-FR", "jean point dupont", B),
        ("fr-FR", "jean arobase exemple point fr", W),
    ],
)
def test_an_email_address_in_other_languages(locale: str, text: str, expected: Progress) -> None:
    assert check(text, OpenQuestion.EMAIL, locale) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The third of", B),
        ("The third of May", L),
        ("The third", B),
        ("On March", B),
        ("On March the twelfth", L),
        ("June the 22nd", L),
        ("June 22, 1985", W),
        ("the twelfth of March nineteen eighty five", W),
        ("Last Monday.", W),
        ("about two weeks ago", W),
        ("Tomorrow", W),
        ("I don't remember", N),
    ],
)
def test_a_date(text: str, expected: Progress) -> None:
    assert check(text, OpenQuestion.DATE) is expected


@pytest.mark.parametrize(
    ("locale", "text", "expected"),
    [
        ("es-ES", "el tres de", B),
        ("es-ES", "el tres de mayo", L),
        ("es-ES", "ayer", W),
        ("fr-FR", "le douze", B),
        ("fr-FR", "le douze mars", L),
        ("fr-FR", "il y a deux semaines", W),
        ("ar-SA", "أمس", W),
        ("ar-SA", "خمسة مايو", L),
    ],
)
def test_a_date_in_other_languages(locale: str, text: str, expected: Progress) -> None:
    assert check(text, OpenQuestion.DATE, locale) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("22 Baker Street", B),
        ("22 Baker Street, Springfield, Illinois", L),
        ("22 Baker Street, Springfield, Illinois, 62701", W),
        ("It's 22 Baker Street, London, NW1 6XE", W),
    ],
)
def test_a_postal_address(text: str, expected: Progress) -> None:
    assert check(text, OpenQuestion.ADDRESS) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Where is my order eight three one,", OpenQuestion.ORDER_NUMBER),
        ("Where is my order 831?", OpenQuestion.ORDER_NUMBER),
        ("It's about order a three", OpenQuestion.ORDER_NUMBER),
        ("Has order number 83", OpenQuestion.ORDER_NUMBER),
        ("Where is my order 83102?", None),
        ("Has order 83 been delivered?", None),
        ("I have two orders.", None),
        ("Where is my order?", None),
        ("My e-mail address is dana dot reyes,", OpenQuestion.EMAIL),
        ("My e-mail address is [EMAIL].", None),
        ("My e-mail address is wrong in your files and I want it changed", None),
        ("my phone number is five five five", OpenQuestion.PHONE),
        ("I bought it on the third,", OpenQuestion.DATE),
        ("I bought it on the 3rd of", OpenQuestion.DATE),
        ("I bought it on the third of November", None),
        ("I took the second one", None),
    ],
)
def test_what_a_caller_begins_to_give_unasked(text: str, expected: OpenQuestion | None) -> None:
    assert begun_unasked(text, resolve_locale("en-US"), Lengths()) is expected


@pytest.mark.parametrize(
    ("locale", "text"),
    [
        ("es-ES", "mi número de pedido es el ocho tres"),
        ("fr-FR", "ma commande numéro huit trois"),
        ("ar-SA", "رقم طلبي ثمانية ثلاثة"),
    ],
)
def test_an_order_number_begun_unasked_in_other_languages(locale: str, text: str) -> None:
    assert begun_unasked(text, resolve_locale(locale), Lengths()) is OpenQuestion.ORDER_NUMBER


def test_questions_without_a_shape_have_none() -> None:
    for question in (OpenQuestion.NONE, OpenQuestion.OPEN, OpenQuestion.YES_NO):
        assert check("eight three one", question) is N
