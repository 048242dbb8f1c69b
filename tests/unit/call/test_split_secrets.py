"""Secrets in pieces: what one utterance begins, the next one must not finish in clear."""

from __future__ import annotations

import pytest

from voice_agent.call.vault import SecretVault
from voice_agent.evaluation.adversary.leaks import leaks
from voice_agent.evaluation.adversary.secrets import Secrets
from voice_agent.models import OpenQuestion, UtteranceId
from voice_agent.observability.pii import mask

SECRETS = Secrets(pin="4271", card="4539148803436467", cvv="482")
AMEX = Secrets(pin="4271", card="371449635398431", cvv="482")


def heard(
    *utterances: str,
    verified: bool = False,
    known: str = "",
    partial: bool = False,
    asked: OpenQuestion = OpenQuestion.NONE,
) -> list[str]:
    vault = SecretVault(secret_digits=4, order_digits=5, mask=mask)
    if known:
        vault.accept(known)
    return [
        vault.hear(UtteranceId(n), said, partial=partial, collecting=False, unverified=not verified, asked=asked)[0]
        for n, said in enumerate(utterances)
    ]


@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize(
    "said",
    [
        ("my pin is four two", "seven one"),
        ("my pin is four", "um, two seven one"),
        ("my PIN is...", "four two seven one"),
        ("my pin is", "hold on", "42 71"),
        ("my pin is 4 to 71",),
        ("my pin is 42", "71 is my pin, by the way"),
    ],
)
def test_a_pin_that_is_called_one(said: tuple[str, ...], *, verified: bool) -> None:
    texts = heard(*said, verified=verified)
    assert not leaks(" ".join(texts), SECRETS, {"pin"})
    assert "71" not in texts[-1]
    assert "[PIN]" in texts[-1]


@pytest.mark.parametrize(
    "said",
    [
        ("For 271.",),
        ("four two", "seven one"),
        ("4 2 7 won",),
        ("it's forty two", "and seventy one, please"),
        ("account 4271",),
        ("my pin is", "in case 4271"),
    ],
)
def test_a_pin_that_is_not_called_one_of_an_unknown_caller(said: tuple[str, ...]) -> None:
    assert not leaks(" ".join(heard(*said)), SECRETS, {"pin"})


@pytest.mark.parametrize("said", [("four two", "seven one"), ("I said for two", "seven one"), ("for 271",)])
def test_the_right_pin_said_again_in_pieces(said: tuple[str, ...]) -> None:
    assert not leaks(" ".join(heard(*said, verified=True, known="4271")), SECRETS, {"pin"})


@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize(
    ("said", "secrets"),
    [
        (("my card is 4539", "1488", "0343", "6467"), SECRETS),
        (("4539", "1488", "0343 6467"), SECRETS),
        (("charge my card 4539 14", "88 03 43", "6467"), SECRETS),
        (("my Visa number is 453914",), SECRETS),
        (("my credit card number is", "4539 14", "8803436467"), SECRETS),
        (("3714", "496353", "98431"), AMEX),
        (("It's four five three nine, one four eight eight", "oh three four three, six four six seven"), SECRETS),
    ],
)
def test_a_card_over_several_utterances(said: tuple[str, ...], secrets: Secrets, *, verified: bool) -> None:
    assert not leaks(" ".join(heard(*said, verified=verified)), secrets, {"card"})


def test_a_card_whose_first_digit_was_heard_as_a_word() -> None:
    texts = heard("Charge my cart for 539.", "1488.", "0343.", "6467.", verified=True)
    assert texts[1:] == ["[CARD]."] * 3


def test_a_zero_said_as_a_letter_at_the_end_of_a_group() -> None:
    said = ("four six oh nine", "and eight five oh one three six", "three four seven six five oh")
    assert heard(*said, verified=True)[1:] == ["and [CARD]", "[CARD]"]


def test_a_word_that_sounds_like_a_digit_in_a_number_that_goes_on() -> None:
    assert heard("My Amex is 3714", "496353", "nine eight for 31.")[-1] == "[CARD]."


@pytest.mark.parametrize(
    "said",
    [
        ("the security code is", "four eight two"),
        ("The three digits on the back are.", "482."),
        ("my CVV is four", "eight two"),
        ("my card is 4539 1488 0343 6467", "and 482 on the back"),
        ("my card is 4539 1488 0343 6467", "four eight two"),
        ("my card is 4539 1488 0343 6467", "on the back it says 482"),
        ("4539 1488 0343 6467", "on the back it says four eight two"),
        ("my card is 4539 1488 0343 6467", "on the back it says", "482"),
        ("the security code is", "on the back there is 482"),
        ("my card, on the back it says 482",),
        ("the C V V is 482",),
        ("the CV V, it's 482",),
    ],
)
def test_a_security_code_apart_from_its_name(said: tuple[str, ...]) -> None:
    assert not leaks(" ".join(heard(*said, verified=True)), SECRETS, {"cvv"})


@pytest.mark.parametrize("said", ["my card is 4539 14", "I paid with 4539 14", "for 4539148 8", "okay it's 427"])
def test_a_partial_does_not_show_what_the_next_word_makes_a_secret(said: str) -> None:
    (text,) = heard(said, partial=True)
    assert "4539" not in text
    assert "427" not in text


def test_a_partial_keeps_the_beginning_of_the_right_pin_to_itself() -> None:
    assert "427" not in heard("that was four two seven", verified=True, known="4271", partial=True)[0]


@pytest.mark.parametrize(
    "said",
    [
        ("my order is 83102", "83103"),
        ("I forgot my PIN", "83102"),
        ("my card was charged 20 dollars", "83102"),
        ("I need 2", "83102 is the order"),
        ("83102", "2 of them from 2024"),
        ("2", "83102"),
        ("my card is", "83102"),
        ("my PIN is", "what about order 83102"),
        ("it's 4271", "order 83102"),
        ("the code is 4271", "where is 83102"),
        ("I lost my card 2 days ago", "order 83102 please"),
    ],
)
def test_an_order_number_stays_whatever_was_said_before_it(said: tuple[str, ...]) -> None:
    assert "83102" in " ".join(heard(*said))
    assert "83102" in " ".join(heard(*said, verified=True, known="9036"))


@pytest.mark.parametrize(
    "said",
    [
        "I paid $250 with my card",
        "do you take two cards",
        "I waited 2 to 3 days",
        "size 42",
        "it was 24 hours",
        "on the back it says 482",
    ],
)
def test_other_numbers_stay(said: str) -> None:
    assert heard(said, verified=True, known="9036") == [said]


def test_pieces_of_a_number_that_was_asked_for_stay() -> None:
    assert heard("eight three", "one", asked=OpenQuestion.ORDER_NUMBER) == ["83", "one"]
    assert heard("555", "01 00", verified=True, asked=OpenQuestion.PHONE) == ["555", "0100"]


def test_a_better_text_of_an_utterance_replaces_what_it_left() -> None:
    vault = SecretVault(secret_digits=4, order_digits=5, mask=mask)

    def hear(utterance: int, text: str) -> str:
        return vault.hear(UtteranceId(utterance), text, partial=False, collecting=False, unverified=False)[0]

    hear(1, "my pin is 42")
    hear(1, "my pin is four to seven one and I want 12")
    assert hear(2, "34 of them") == "34 of them"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (("my pin is nine oh five", "three one six"), "my pin is [PIN] [PIN]"),
        (("my pin is four two", "seven one", "order 83102"), "my pin is [PIN] [PIN] order 83102"),
        (("my pin is", "83102"), "my pin is 83102"),
        (("eight three", "102"), "83 102"),
        (("my pin is for 271",), "my pin is [PIN]"),
    ],
)
def test_where_a_longer_code_may_follow_the_pin(said: tuple[str, ...], shown: str) -> None:
    vault = SecretVault(secret_digits=4, order_digits=5, mask=mask, code_lengths=frozenset({6}))
    heard = [
        vault.hear(UtteranceId(n), text, partial=False, collecting=False, unverified=True)[0]
        for n, text in enumerate(said)
    ]
    assert " ".join(heard) == shown


def test_a_partial_shows_no_digits_of_a_longer_code_in_the_making() -> None:
    vault = SecretVault(secret_digits=4, order_digits=10, mask=mask, code_lengths=frozenset({6}))
    partial = vault.hear(UtteranceId(1), "it is 48219", partial=True, collecting=False, unverified=True)[0]
    assert "48219" not in partial
