"""What may happen with a caller turn: block, escalate, authenticate or continue.

Decided once per turn, deterministic, in priority order (product contract, business behaviour). The meanings come from
a semantic classifier; the rules here only order them. Asking for a human always works, verified or not.
"""

from __future__ import annotations

from voice_agent.models import Meaning, MeaningScore, PolicyAction, PolicyDecision, PolicyReason

_RULES: tuple[tuple[Meaning, PolicyAction, PolicyReason], ...] = (
    (Meaning.EMERGENCY, PolicyAction.ESCALATE, PolicyReason.EMERGENCY),  # a life at risk goes before any refusal
    (Meaning.INJECTION, PolicyAction.BLOCK, PolicyReason.PROMPT_INJECTION),
    (Meaning.ABUSE, PolicyAction.BLOCK, PolicyReason.ABUSE),
    (Meaning.HUMAN_WANTED, PolicyAction.ESCALATE, PolicyReason.HUMAN_REQUESTED),
    (Meaning.FRAUD_REPORT, PolicyAction.ESCALATE, PolicyReason.FRAUD_REPORT),
    (Meaning.LEGAL_THREAT, PolicyAction.ESCALATE, PolicyReason.LEGAL_THREAT),
)


def decide(meanings: tuple[MeaningScore, ...], *, verified: bool, failures: int, max_failures: int) -> PolicyDecision:
    """``failures`` counts failed turns or tools in a row; at ``max_failures`` the caller goes to a human."""
    accepted = {score.meaning: score for score in meanings if score.accepted}
    for meaning, action, reason in _RULES:
        if meaning in accepted:
            score = accepted[meaning]
            return PolicyDecision(action, reason, _confidence(score), score.example)
    if failures >= max_failures:
        return PolicyDecision(PolicyAction.ESCALATE, PolicyReason.REPEATED_FAILURES, 1.0, "failure count")
    if Meaning.NEEDS_IDENTITY in accepted and not verified:
        score = accepted[Meaning.NEEDS_IDENTITY]
        return PolicyDecision(
            PolicyAction.AUTHENTICATE, PolicyReason.IDENTITY_REQUIRED, _confidence(score), score.example
        )
    return PolicyDecision(PolicyAction.CONTINUE, PolicyReason.NONE, 1.0)


def _confidence(score: MeaningScore) -> float:
    return round(min(1.0, max(0.0, score.score)), 4)
