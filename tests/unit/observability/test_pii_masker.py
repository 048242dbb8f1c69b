"""One call's masking: which placeholders are the same, which differ, and what can be had back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_agent.conversation.codec import decode, encode, kind_of
from voice_agent.conversation.events import TranscriptFinal
from voice_agent.models import UtteranceId
from voice_agent.observability.event_log import entry_line, mask_entry
from voice_agent.observability.pii import Masker, PiiKind, mask

# Two values of each kind that is told apart, the first one in several ways.
WAYS = {
    PiiKind.PHONE: (
        ["06 12 34 56 78", "appelez le +33 6 12 34 56 78", "zéro six douze trente-quatre cinquante-six soixante-dix-huit"],
        "call 06 12 34 56 79",
    ),
    PiiKind.EMAIL: (
        ["Jane.Doe@Example.com", "jane dot doe at example dot com", "jane point doe arobase example point com"],
        "john@example.com",
    ),
    PiiKind.CARD: (["4111 1111 1111 1111", "four triple one triple one triple one triple one triple one"],
                   "5555-5555-5555-4444"),
    PiiKind.IBAN: (["GB82 WEST 1234 5698 7654 32", "gb82west12345698765432"], "DE89370400440532013000"),
    PiiKind.ADDRESS: (["I live at 12 Main Street, Springfield.", "my address is 12 main street springfield"],
                      "I live at 14 Main Street, Springfield."),
    PiiKind.BIRTHDAY: (["born on 4 March 1982", "my date of birth is March 4th, 1982"], "born on 5 March 1982"),
    PiiKind.SSN: (["123-45-6789", "my social is one two three four five six seven eight nine"], "123-45-6780"),
}  # fmt: skip

SAID = [text for ways, other in WAYS.values() for text in (*ways, other)]


@pytest.mark.parametrize("kind", WAYS)
def test_the_same_value_keeps_its_placeholder_however_it_is_said(kind: PiiKind) -> None:
    ways, other = WAYS[kind]
    masker = Masker()
    for text in ways:
        assert f"[{kind.value}]" in masker.mask(text)
    assert f"[{kind.value} 2]" in masker.mask(other)
    assert f"[{kind.value}]" in masker.mask(ways[0])
    assert f"[{kind.value} 2]" in masker.mask(other)


def test_several_in_one_text_are_told_apart() -> None:
    assert Masker().mask("a@b.com, c@d.com or a@b.com") == "[EMAIL], [EMAIL 2] or [EMAIL]"


def test_secrets_are_not_told_apart() -> None:
    masker = Masker()
    assert masker.mask("my pin is 4271, cvv 123") == "my pin is [PIN], cvv [CVV]"
    assert masker.mask("my pin is 9036, cvv 321") == "my pin is [PIN], cvv [CVV]"


def test_calls_know_nothing_of_each_other() -> None:
    assert Masker().mask("a@b.com") == Masker().mask("c@d.com") == "[EMAIL]"


def test_a_draft_leaves_no_trace() -> None:
    masker = Masker()
    masker.mask("+1 415 555 2671")
    assert masker.mask("+1 415 555 26 or +1 415 555 99", draft=True) == "[PHONE 2] or [PHONE 3]"
    assert masker.mask("+1 415 555 2699") == "[PHONE 2]"
    assert masker.mask("+1 415 555 2671", draft=True) == "[PHONE]"
    assert masker.reveal("[PHONE 3]") is None


def test_what_a_tool_needs_can_be_had_back_until_the_call_ends() -> None:
    masker = Masker()
    masker.mask("call plus one four one five five five five two six seven one or write to jane at example dot com")
    masker.mask("I live at 12 Main Street, Springfield")
    assert masker.reveal("[PHONE]") == "+14155552671"
    assert masker.reveal("[EMAIL]") == "jane@example.com"
    assert masker.reveal("[ADDRESS]") == "12 Main Street, Springfield"
    assert masker.reveal("[PHONE 2]") is None
    masker.close()
    assert masker.reveal("[PHONE]") is None


def test_an_address_can_be_had_back_in_parts() -> None:
    masker = Masker()
    masker.mask("I live at fourteen Birch Lane, Madison, Wisconsin, five three seven oh three")
    masker.mask("no, my new address is 9 Elm Street in Austin")
    assert masker.reveal_all("[ADDRESS].street|[ADDRESS].city|[ADDRESS].postal_code") == "14 Birch Lane|Madison|53703"
    assert masker.reveal_all("[ADDRESS].extra") == ""
    assert masker.reveal_all("[ADDRESS 2].street") == ""  # where it ends is not certain
    assert masker.reveal_all("It goes to [ADDRESS 2].") == "It goes to 9 Elm Street in Austin."
    assert masker.reveal_all("[ADDRESS 3].city") == "[ADDRESS 3].city"


def test_other_values_have_no_parts() -> None:
    masker = Masker()
    masker.mask("call +1 415 555 2671")
    assert masker.reveal_all("[PHONE].city") == "+14155552671.city"


def test_cards_and_secrets_cannot_be_had_back_and_nothing_shows() -> None:
    masker = Masker()
    masker.mask("card 4111 1111 1111 1111, my pin is 4271, call +1 415 555 2671, ssn 123-45-6789")
    for kind in (PiiKind.CARD, PiiKind.PIN, PiiKind.SSN):
        assert masker.reveal(kind.placeholder) is None
    assert "555" not in repr(masker)
    assert "4111" not in repr(masker.__dict__)


def test_records_are_masked_with_the_calls_placeholders() -> None:
    masker = Masker()
    masker.mask("a@b.com")
    data = {
        "mail": "c@d.com",
        "tracking_number": "748912345678",
        "cvv": "123",
        "lines": ["a@b.com"],
        "id": "a@b.com",
    }
    assert masker.mask_any(data, skip=frozenset({"id"})) == {
        "mail": "[EMAIL 2]",
        "tracking_number": "748912345678",
        "cvv": "[CVV]",
        "lines": ["[EMAIL]"],
        "id": "a@b.com",
    }


def test_the_log_and_a_replay_keep_the_calls_placeholders() -> None:
    masker = Masker()
    masker.mask("a@b.com")
    event = mask_entry(TranscriptFinal(UtteranceId(1), "write to c@d.com, not to a@b.com"), masker.mask)
    assert event.text == "write to [EMAIL 2], not to [EMAIL]"
    line = entry_line(1, 0.5, event)
    assert b"[EMAIL 2], not to [EMAIL]" in line
    assert entry_line(1, 0.5, decode(kind_of(event).value, event.name, encode(event))) == line


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([w for ways, other in WAYS.values() for w in (*ways, other)]) | st.text(max_size=30), max_size=6
    )
)
def test_numbered_placeholders_are_as_stable_as_plain_ones(texts: list[str]) -> None:
    masker = Masker()
    for text in texts:
        once = masker.mask(text)
        assert masker.mask(once) == once == mask(once)
        assert masker.mask(text) == once
