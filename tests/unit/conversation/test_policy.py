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


def test_the_decision_names_its_evidence_and_confidence() -> None:
    decision = decided(meant(Meaning.HUMAN_WANTED))
    assert decision.evidence == "like human_wanted"
    assert 0 <= decision.confidence <= 1
