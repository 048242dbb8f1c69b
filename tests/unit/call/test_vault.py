"""The vault: digits of a secret go in, a placeholder comes out."""

from __future__ import annotations

import pytest

from voice_agent.call.vault import SecretVault
from voice_agent.conversation.spoken_forms.digits import PLACEHOLDER
from voice_agent.models import OpenQuestion, UtteranceId
from voice_agent.observability.pii import mask

FIRST, SECOND = UtteranceId(1), UtteranceId(2)


def hear(
    vault: SecretVault,
    utterance_id: UtteranceId,
    spoken: str,
    *,
    collecting: bool,
    unverified: bool,
    partial: bool = False,
) -> tuple[str, int]:
    return vault.hear(utterance_id, spoken, partial=partial, collecting=collecting, unverified=unverified)


@pytest.fixture
def vault() -> SecretVault:
    return SecretVault(secret_digits=4, order_digits=5, mask=mask)


@pytest.mark.parametrize(
    "spoken",
    [
        "four two seven one",
        "It's 4271.",
        "um forty-two seventy-one",
        "4, 2, 7, 1",
        "three three... no sorry, four two seven one",
        "my pin is four two seven one thank you",
    ],
)
def test_a_spoken_pin_is_kept_and_replaced(vault: SecretVault, spoken: str) -> None:
    text, digits = hear(vault, FIRST, spoken, collecting=True, unverified=True)
    assert digits == 4
    assert vault.secret() == "4271"
    assert "[PIN]" in text
    assert not any(word in text.lower() for word in ("four", "seven", "4", "7", "forty"))
    assert "4271" not in repr(vault)


def test_two_halves_make_one_secret_and_a_better_final_replaces_its_own(vault: SecretVault) -> None:
    hear(vault, FIRST, "four", collecting=True, unverified=True)
    hear(vault, FIRST, "four two", collecting=True, unverified=True)
    hear(vault, SECOND, "seven one", collecting=True, unverified=True)
    assert vault.secret() == "4271"


def test_a_complete_second_try_wins_over_an_incomplete_first(vault: SecretVault) -> None:
    hear(vault, FIRST, "four two", collecting=True, unverified=True)
    hear(vault, SECOND, "9 0 3 6", collecting=True, unverified=True)
    assert vault.secret() == "9036"


def test_keys_and_discarding(vault: SecretVault) -> None:
    for key in "4271":
        vault.press(key)
    assert vault.secret() == "4271"
    vault.discard()
    assert vault.secret() == ""


def test_outside_of_collecting_words_become_values_and_personal_data_placeholders(vault: SecretVault) -> None:
    text, digits = hear(vault, FIRST, "order eight three one zero two please", collecting=False, unverified=True)
    assert (text, digits) == ("order 83102 please", 0)
    text, _ = hear(vault, FIRST, "my card is 4111 1111 1111 1111", collecting=False, unverified=False)
    assert "4111" not in text


@pytest.mark.parametrize(
    "spoken",
    ["Four two seven one.", "okay it's four two seven one", "the code is 4 2 7 1", "It's 4271.", "4271 please"],
)
def test_a_pin_said_unasked_by_an_unknown_caller_is_withheld(vault: SecretVault, spoken: str) -> None:
    text, digits = hear(vault, FIRST, spoken, collecting=False, unverified=True)
    assert not any(word in text.lower() for word in ("four", "seven", "4", "7"))
    assert "[PIN]" in text
    assert digits == 0
    assert vault.secret() == ""


def test_ordinary_words_survive_while_a_secret_is_awaited(vault: SecretVault) -> None:
    for spoken in ("I want to talk to a human", "one moment please", "no one told me about that"):
        text, digits = hear(vault, FIRST, spoken, collecting=True, unverified=True)
        assert (text, digits) == (spoken, 0)


def test_an_order_number_beside_a_pin_stays(vault: SecretVault) -> None:
    text, _ = hear(vault, FIRST, "order 83102, my code is 4271", collecting=False, unverified=True)
    assert "83102" in text
    assert "4271" not in text


def test_the_right_pin_is_withheld_for_the_rest_of_the_call(vault: SecretVault) -> None:
    vault.accept("4271")
    text, digits = hear(
        vault, FIRST, "that was four two seven one, and order 8 3 1 0 2", collecting=False, unverified=False
    )
    assert (digits, "[PIN]" in text, "83102" in text) == (0, True, True)
    assert "4271" not in text.replace(" ", "")
    assert hear(vault, FIRST, "I paid 9036", collecting=False, unverified=False)[0] == "I paid 9036"
    vault.close()
    assert hear(vault, FIRST, "it is 4271", collecting=False, unverified=False)[0] == "it is 4271"


def test_keys_and_words_are_joined_in_the_order_they_came(vault: SecretVault) -> None:
    vault.press("4")
    vault.press("2")
    hear(vault, FIRST, "seven one", collecting=True, unverified=True)
    assert vault.secret() == "4271"


def test_words_between_keys_keep_their_place_when_they_are_heard_anew(vault: SecretVault) -> None:
    vault.press("4")
    hear(vault, FIRST, "two", collecting=True, unverified=True, partial=True)
    vault.press("7")
    hear(vault, FIRST, "two.", collecting=True, unverified=True)
    vault.press("1")
    assert vault.secret() == "4271"


def test_a_correction_voids_what_came_before(vault: SecretVault) -> None:
    hear(vault, FIRST, "four two", collecting=True, unverified=True)
    hear(vault, SECOND, "sorry no four three", collecting=True, unverified=True)
    assert vault.secret() == "43"


@pytest.mark.parametrize("spoken", ["order 3102", "my order number is 3102", "order number, a 3102 will get here"])
def test_a_short_order_number_that_is_called_one_stays(vault: SecretVault, spoken: str) -> None:
    assert "3102" in hear(vault, FIRST, spoken, collecting=False, unverified=True)[0]


def test_the_first_words_of_a_partial_are_withheld_while_a_secret_is_awaited(vault: SecretVault) -> None:
    assert hear(vault, FIRST, "Fort,", collecting=True, unverified=True, partial=True) == ("", 0)
    assert hear(vault, FIRST, "Forty-two", collecting=True, unverified=True, partial=True) == ("[PIN]", 2)
    assert hear(vault, SECOND, "I do not know it", collecting=True, unverified=True, partial=True)[0]
    assert hear(vault, SECOND, "No idea.", collecting=True, unverified=True)[0] == "No idea."


@pytest.mark.parametrize("text", ["the code is six one three oh please", "six one three, oh", "my pin is 613 oh and"])
def test_a_zero_said_as_a_letter_behind_the_digits_belongs_to_them(text: str) -> None:
    vault = SecretVault(secret_digits=4, order_digits=5, mask=lambda text: text)
    heard, _ = vault.hear(UtteranceId(1), text, partial=False, collecting=False, unverified=True)
    assert "613" not in heard
    assert PLACEHOLDER in heard


def test_a_known_secret_is_withheld_though_a_word_before_it_reads_as_a_digit(vault: SecretVault) -> None:
    vault.accept("8265")
    heard = hear(vault, FIRST, "was it the right one, and eight two six five", collecting=False, unverified=False)[0]
    assert not any(form in heard for form in ("8265", "eight two"))
    for spoken in ("order 18265", "call me at 415 555 8265", "I paid 8256"):
        assert (
            hear(vault, FIRST, spoken, collecting=False, unverified=False)[0]
            == hear(
                SecretVault(secret_digits=4, order_digits=5, mask=mask),
                FIRST,
                spoken,
                collecting=False,
                unverified=False,
            )[0]
        )


def test_a_code_of_another_length_is_collected_once_it_is_expected_and_withheld_before() -> None:
    vault = SecretVault(secret_digits=4, order_digits=5, mask=mask, code_lengths=frozenset({6}))
    heard, _ = hear(vault, FIRST, "the number I got is 905316, for order 831029", collecting=False, unverified=True)
    assert heard == "the number I got is [PIN], for order 831029"
    vault.expect(6)
    heard, digits = hear(vault, SECOND, "nine oh five three one six", collecting=True, unverified=True)
    assert (heard, digits, vault.secret()) == ("[PIN]", 6, "905316")
    vault.accept("905316")
    vault.accept("4271")
    heard, _ = hear(vault, FIRST, "905316 or 4271 but not 905317", collecting=False, unverified=False)
    assert heard == "[PIN] or [PIN] but not 905317"


def test_keys_behind_an_order_number_are_not_shown() -> None:
    vault = SecretVault(secret_digits=4, order_digits=5, mask=mask)
    shown = [vault.may_show(key, 0.1 * n, OpenQuestion.ORDER_NUMBER) for n, key in enumerate("4539148803436467")]
    assert shown == [True] * 5 + [False] * 11
    assert all(vault.may_show(key, 9 + 0.1 * n, OpenQuestion.ORDER_NUMBER) for n, key in enumerate("83102"))


def test_the_right_pin_keyed_for_another_number_is_not_shown_whole(vault: SecretVault) -> None:
    vault.accept("4271")
    assert [vault.may_show(key, 0.0, OpenQuestion.ORDER_NUMBER) for key in "4271"] == [True, True, True, False]
