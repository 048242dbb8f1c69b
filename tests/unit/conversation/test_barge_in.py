"""The table of verdicts, row by row, with what a real recogniser makes of hums, coughs, laughs and words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voice_agent.conversation.barge_in import (
    BargeInDecision,
    BargeInSettings,
    Floor,
    FloorRules,
    SpeechEvidence,
    Verdict,
    judge,
)
from voice_agent.conversation.locales import resolve_locale

YES, NO, OPEN = Verdict.INTERRUPTION, Verdict.NOT_INTERRUPTION, Verdict.UNDECIDED


def verdict(
    evidence: SpeechEvidence, *, locale: str = "en-US", settings: BargeInSettings | None = None
) -> BargeInDecision:
    return judge(evidence, locale=resolve_locale(locale), settings=settings or BargeInSettings())


def said(text: str, confidence: float = 0.95, *, lasting: float = 0.5) -> SpeechEvidence:
    return SpeechEvidence(text, final=True, voiced_s=lasting, lasted_s=lasting, confidence=confidence)


def saying(text: str, confidence: float = 0.9, *, voiced: float = 0.3, lasted: float | None = None) -> SpeechEvidence:
    return SpeechEvidence(text, final=False, voiced_s=voiced, lasted_s=lasted or voiced, confidence=confidence)


@pytest.mark.parametrize(
    ("text", "lasting", "confidence"),
    [
        # Hums of four voices, clean and at 10 dB, as the local recogniser hears them.
        ("Mum.", 0.42, 0.64),
        ("Bye.", 0.42, 0.50),
        ("Amen.", 0.51, 0.42),
        ("Amen, love.", 0.54, 0.55),
        ("A memo", 0.61, 0.63),
        ("In them.", 0.50, 0.60),
        ("Immation.", 0.64, 0.45),
        ("And make sense.", 0.64, 0.54),
        ("Eh-ha!", 0.45, 0.45),
        ("I'll try.", 0.32, 0.44),
        ("It hurts.", 0.42, 0.61),
        ("If I.", 0.45, 0.47),
        ("Of her.", 0.48, 0.74),
        ("Mama.", 0.42, 0.82),
        ("Mm-hmm,", 0.61, 0.94),
        ("Uh?", 0.38, 0.85),
        # Laughs.
        ("How far high?", 0.77, 0.37),
        ("How's that happening?", 0.80, 0.47),
        ("Ha, ha, ha, ha.", 0.64, 0.63),
        ("At least.", 0.70, 0.56),
        # Coughs, clicks, music.
        ("", 0.13, 0.0),
        ("", 0.50, 0.0),
        ("Help", 0.35, 0.56),
        # Words of a listener.
        ("Okay, great.", 0.93, 0.57),
        ("Yeah, yeah.", 0.74, 0.59),
        ("Oh, I see.", 0.77, 0.93),
        ("That's right.", 0.54, 0.97),
        ("Makes sense.", 0.70, 0.90),
        ("Oh, really?", 0.67, 0.92),
        ("Exactly.", 0.70, 0.95),
        ("Thank you.", 0.54, 0.95),
        ("Right, okay, got it.", 1.2, 0.95),
    ],
)
def test_a_listener_does_not_interrupt(text: str, lasting: float, confidence: float) -> None:
    assert verdict(said(text, confidence, lasting=lasting)).verdict is NO
    assert verdict(saying(text, confidence, voiced=lasting, lasted=lasting)).verdict is not YES


@pytest.mark.parametrize(
    ("text", "lasting", "confidence", "rule"),
    [
        ("Sorry.", 0.38, 0.94, "stop_word"),
        ("Wait", 0.38, 0.69, "stop_word"),
        ("No.", 0.38, 0.84, "stop_word"),
        ("Hang on a second.", 0.90, 0.85, "words"),
        ("What?", 0.45, 0.89, "words"),
        ("Can I ask something?", 1.02, 0.91, "words"),
        ("And I ask something.", 1.09, 0.76, "words"),
        ("Yeah, I want to shoot it.", 1.25, 0.73, "words"),
        ("Slow down.", 0.70, 0.90, "words"),
        ("Okay, but what about the reefing?", 1.79, 0.72, "stop_word"),
        ("Where is my order?", 1.4, 0.40, "words"),
    ],
)
def test_words_of_a_caller_who_wants_the_floor_interrupt(
    text: str, lasting: float, confidence: float, rule: str
) -> None:
    assert verdict(said(text, confidence, lasting=lasting)) == BargeInDecision(YES, rule)


@pytest.mark.parametrize(
    ("evidence", "expected", "rule"),
    [
        (saying(""), OPEN, "no_words"),
        (saying("where is"), YES, "words"),
        (saying("where is", 0.6), OPEN, "no_words"),  # what a first partial makes of a hum
        (saying("where", voiced=0.45), OPEN, "no_words"),  # one word may be the start of "where … never mind"
        (saying("where", voiced=0.45, lasted=0.6), YES, "words"),
        (saying("where", voiced=0.22, lasted=0.6), OPEN, "no_words"),  # a quarter of a second is no word yet
        (saying("stop"), YES, "stop_word"),
        (saying("no", 0.72, voiced=0.22), OPEN, "no_words"),  # "Oh" was once heard so
        (saying("no", 0.72, voiced=0.45), YES, "stop_word"),
        (saying("okay", lasted=0.9), OPEN, "backchannel"),
        (saying("okay but", voiced=0.5), YES, "stop_word"),
        (saying("", lasted=1.6), NO, "noise"),
        (saying("the the", 0.2, voiced=1.5), NO, "noise"),
        (saying("where", 0.75, voiced=0.7, lasted=1.6), YES, "words"),
    ],
)
def test_while_the_caller_still_speaks(evidence: SpeechEvidence, expected: Verdict, rule: str) -> None:
    assert verdict(evidence) == BargeInDecision(expected, rule)


@pytest.mark.parametrize("text", ["Yes.", "Yeah.", "Okay.", "Sure.", "Thank you."])
def test_yes_is_an_answer_to_a_question_and_a_backchannel_otherwise(text: str) -> None:
    assert verdict(said(text)).verdict is NO
    assert verdict(replace(said(text), answers_question=True)) == BargeInDecision(YES, "answer")


def test_a_hum_is_no_answer() -> None:
    assert verdict(replace(said("Mm-hmm."), answers_question=True)).rule == "backchannel"


@pytest.mark.parametrize(
    "text", ["Thank you, bye.", "Bye bye!", "You too, have a nice day.", "Okay, thanks.", "No thanks."]
)
def test_a_goodbye_said_back_does_not_stop_the_goodbye(text: str) -> None:
    closing = replace(said(text, lasting=1.0), floor=Floor.CLOSING)
    assert verdict(closing) == BargeInDecision(NO, "farewell")
    assert verdict(replace(closing, final=False)).verdict is not YES


@pytest.mark.parametrize("text", ["Wait, one more thing.", "Can I also change my address?", "No."])
def test_a_real_afterthought_does(text: str) -> None:
    assert verdict(replace(said(text, lasting=1.0), floor=Floor.CLOSING)).verdict is YES


def test_goodbye_in_mid_explanation_is_an_interruption() -> None:
    assert verdict(said("Thank you, bye.", lasting=0.9)).verdict is YES


def test_digits_over_the_prompt_for_them_are_taken_at_once() -> None:
    digits = replace(saying("[PIN]", 0.5), floor=Floor.SECRET, secret_digits=1)
    assert verdict(digits) == BargeInDecision(YES, "digits")
    assert verdict(replace(digits, echo=0.9)).rule == "echo", "the prompt's own 'four digit' is none"


@pytest.mark.parametrize(
    ("echo", "likeness", "relative_db", "rule"),
    [
        (0.7, 0.0, None, "echo"),  # the sound alone tells
        (0.3, 0.9, None, "echo"),  # sound and words together
        (None, 0.9, None, "echo"),  # nothing measured: the words
        (0.1, 1.0, 0.0, "words"),  # the caller repeats the agent's words
        (0.1, 1.0, -8.0, "echo"),  # the distorted rest of an echo canceller
        (0.3, 0.5, None, "words"),  # the caller speaks over the echo
        (None, 0.5, None, "words"),
    ],
)
def test_an_echo_never_interrupts_and_double_talk_does(
    echo: float | None, likeness: float, relative_db: float | None, rule: str
) -> None:
    evidence = replace(said("thirty days of delivery"), echo=echo, likeness=likeness, relative_db=relative_db)
    assert verdict(evidence).rule == rule


def test_an_echo_that_holds_a_stop_word_is_still_one() -> None:
    assert verdict(replace(saying("please wait a moment"), echo=0.8)).rule == "echo"


@pytest.mark.parametrize(
    ("text", "relative_db", "rule"),
    [
        ("put the dog out please", -14.0, "side_talk"),
        ("put the dog out please", -5.0, "words"),
        ("put the dog out please", None, "words"),
        ("stop", -14.0, "stop_word"),  # addressed, though said quietly
        ("no the other one over there", -14.0, "side_talk"),
        ("no", -17.0, "side_talk"),  # nobody who means the agent speaks that softly
    ],
)
def test_a_voice_far_below_the_callers_own_is_side_talk(text: str, relative_db: float | None, rule: str) -> None:
    assert verdict(replace(said(text, lasting=1.2), relative_db=relative_db)).rule == rule


def test_while_the_agent_thinks_more_words_are_waited_for() -> None:
    thinking = replace(saying("and also"), floor=Floor.THINKING)
    assert verdict(thinking).verdict is OPEN
    assert verdict(replace(thinking, text="and also my address")).verdict is YES
    assert verdict(replace(said("and also"), floor=Floor.THINKING)).verdict is YES, "once it is all, it counts"


def test_the_rules_are_settings() -> None:
    strict = BargeInSettings(speaking=FloorRules(words=4, commit_s=2.0), sure_confidence=0.95, side_talk_db=3.0)
    assert verdict(saying("where is my", voiced=0.5), settings=strict).verdict is OPEN
    assert verdict(said("What?", 0.9), settings=strict).rule == "mumble"
    assert verdict(replace(said("what about shoes"), relative_db=-4.0), settings=strict).rule == "side_talk"


@pytest.mark.parametrize(
    ("locale", "listener", "speaker"),
    [
        ("es-ES", "Sí, claro, vale.", "¿Y cuánto cuesta el envío?"),
        ("fr-FR", "Ah oui, d'accord.", "Et combien coûte la livraison ?"),
        ("ar-SA", "نعم، تمام", "كم يكلف التوصيل"),
        ("en-GB", "Right, lovely.", "And how much is delivery?"),
    ],
)
def test_every_language_has_listeners_and_speakers(locale: str, listener: str, speaker: str) -> None:
    assert verdict(said(listener, lasting=1.2), locale=locale).verdict is NO
    assert verdict(said(speaker, lasting=1.2), locale=locale).verdict is YES
