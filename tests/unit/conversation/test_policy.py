"""The order of the policy's rules."""

from __future__ import annotations

import pytest

from voice_agent.conversation.policy import decide
from voice_agent.models import Meaning, MeaningScore, PolicyAction, PolicyDecision, PolicyReason


def meant(*meanings: Meaning, accepted: bool = True) -> tuple[MeaningScore, ...]:
    return tuple(MeaningScore(meaning, 0.8, accepted, f"like {meaning}") for meaning in meanings)


def decided(meanings: tuple[MeaningScore, ...], *, verified: bool = False, failures: int = 0) -> PolicyDecision:
    return decide(meanings, verified=verified, failures=failures, max_failures=3)


@pytest.mark.parametrize(
    ("meanings", "action", "reason"),
    [
        ((Meaning.NONE,), PolicyAction.CONTINUE, PolicyReason.NONE),
        ((Meaning.INJECTION, Meaning.HUMAN_WANTED), PolicyAction.BLOCK, PolicyReason.PROMPT_INJECTION),
        ((Meaning.ABUSE,), PolicyAction.BLOCK, PolicyReason.ABUSE),
        ((Meaning.HUMAN_WANTED, Meaning.NEEDS_IDENTITY), PolicyAction.ESCALATE, PolicyReason.HUMAN_REQUESTED),
        ((Meaning.EMERGENCY, Meaning.ABUSE), PolicyAction.ESCALATE, PolicyReason.EMERGENCY),
        ((Meaning.LEGAL_THREAT,), PolicyAction.ESCALATE, PolicyReason.LEGAL_THREAT),
        ((Meaning.FRAUD_REPORT,), PolicyAction.ESCALATE, PolicyReason.FRAUD_REPORT),
        ((Meaning.CARD_DETAILS, Meaning.NEEDS_IDENTITY), PolicyAction.BLOCK, PolicyReason.CARD_DETAILS),
        ((Meaning.CARD_DETAILS, Meaning.FRAUD_REPORT), PolicyAction.ESCALATE, PolicyReason.FRAUD_REPORT),
        ((Meaning.NEEDS_IDENTITY,), PolicyAction.AUTHENTICATE, PolicyReason.IDENTITY_REQUIRED),
    ],
)
def test_priorities(meanings: tuple[Meaning, ...], action: PolicyAction, reason: PolicyReason) -> None:
    decision = decided(meant(*meanings))
    assert (decision.action, decision.reason) == (action, reason)


def test_a_verified_caller_is_not_asked_again() -> None:
    assert decided(meant(Meaning.NEEDS_IDENTITY), verified=True).action is PolicyAction.CONTINUE


def test_a_near_miss_decides_nothing() -> None:
    assert decided(meant(Meaning.INJECTION, Meaning.HUMAN_WANTED, accepted=False)).action is PolicyAction.CONTINUE


def test_repeated_failures_escalate_but_a_refusal_goes_first() -> None:
    assert decided(meant(Meaning.NEEDS_IDENTITY), failures=3).reason is PolicyReason.REPEATED_FAILURES
    assert decided(meant(Meaning.INJECTION), failures=3).action is PolicyAction.BLOCK


def test_a_human_can_be_had_verified_or_not() -> None:
    for verified in (True, False):
        assert decided(meant(Meaning.HUMAN_WANTED), verified=verified).action is PolicyAction.ESCALATE


def test_card_details_are_refused_unless_too_much_has_failed() -> None:
    assert decided(meant(Meaning.CARD_DETAILS), verified=True).action is PolicyAction.BLOCK
    assert decided(meant(Meaning.CARD_DETAILS), failures=3).reason is PolicyReason.REPEATED_FAILURES


def test_a_decision_says_which_example_with_what_score_and_margin() -> None:
    score = MeaningScore(Meaning.HUMAN_WANTED, 1.08, True, "operator", margin=0.4)
    decision = decided((score,))
    assert (decision.evidence, decision.rule, decision.score, decision.margin) == ("operator", "", 1.08, 0.4)
    assert decision.confidence == 1.0


def test_a_decision_says_which_hard_rule() -> None:
    decision = decided((MeaningScore(Meaning.EMERGENCY, 1.0, True, margin=1.0, rule="es.suicidio"),))
    assert (decision.rule, decision.evidence, decision.score) == ("es.suicidio", "", 1.0)


def test_going_on_is_explained_too() -> None:
    plain = decided((MeaningScore(Meaning.NONE, 0.7, True, "no complaints", margin=0.5),))
    assert (plain.action, plain.evidence, plain.score, plain.margin) == (
        PolicyAction.CONTINUE,
        "no complaints",
        0.7,
        0.5,
    )
    assert decided(()).action is PolicyAction.CONTINUE
    assert decided((), failures=3).rule == "failures_in_a_row"
