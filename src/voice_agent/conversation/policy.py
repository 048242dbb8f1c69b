"""What may happen with a caller turn: block, escalate, authenticate or continue.

Decided once per turn, deterministic, in priority order (product contract, business behaviour). The meanings come from
a classifier of hard rules and examples; the rules here only order them. Asking for a human always works, verified or not.
Each decision carries what it rests on: the name of a hard rule or one of our own examples, with score and margin.
"""

from __future__ import annotations

from voice_agent.conversation.agent_rules import AgentRules
from voice_agent.models import Meaning, MeaningScore, PolicyAction, PolicyDecision, PolicyReason

# A life at risk goes before any refusal.
_FIRST: tuple[tuple[Meaning, PolicyAction, PolicyReason], ...] = (
    (Meaning.EMERGENCY, PolicyAction.ESCALATE, PolicyReason.EMERGENCY),
    (Meaning.INJECTION, PolicyAction.BLOCK, PolicyReason.PROMPT_INJECTION),
    (Meaning.ABUSE, PolicyAction.BLOCK, PolicyReason.ABUSE),
    (Meaning.HUMAN_WANTED, PolicyAction.ESCALATE, PolicyReason.HUMAN_REQUESTED),
    (Meaning.FRAUD_REPORT, PolicyAction.ESCALATE, PolicyReason.FRAUD_REPORT),
    (Meaning.LEGAL_THREAT, PolicyAction.ESCALATE, PolicyReason.LEGAL_THREAT),
)
# Card details are refused, not worked with: a turn that holds them reaches no language model and no tool, and the caller
# hears why. Who has failed too often already goes to a human instead.
_AFTER_FAILURES: tuple[tuple[Meaning, PolicyAction, PolicyReason], ...] = (
    (Meaning.CARD_DETAILS, PolicyAction.BLOCK, PolicyReason.CARD_DETAILS),
)
_FAILURE_RULE = "failures_in_a_row"
_ANY_AGENT = AgentRules()


def decide(
    meanings: tuple[MeaningScore, ...],
    *,
    verified: bool,
    failures: int,
    max_failures: int,
    agent: AgentRules = _ANY_AGENT,
) -> PolicyDecision:
    """``failures`` counts failed turns or tools in a row; at ``max_failures`` the caller goes to a human. ``agent`` may meet
    some meanings otherwise; one that it lets pass goes on as if nothing had been found."""
    accepted = {score.meaning: score for score in meanings if score.accepted}
    for meaning, usual, reason in _FIRST:
        if meaning in accepted:
            action = agent.action_for(meaning, usual)
            if action is not PolicyAction.CONTINUE:
                return _decision(action, reason, accepted[meaning])
    if failures >= max_failures:
        return PolicyDecision(PolicyAction.ESCALATE, PolicyReason.REPEATED_FAILURES, 1.0, rule=_FAILURE_RULE)
    for meaning, action, reason in _AFTER_FAILURES:
        if meaning in accepted:
            return _decision(action, reason, accepted[meaning])
    if Meaning.NEEDS_IDENTITY in accepted and not verified:
        action = agent.action_for(Meaning.NEEDS_IDENTITY, PolicyAction.AUTHENTICATE)
        if action is PolicyAction.AUTHENTICATE:
            return _decision(action, PolicyReason.IDENTITY_REQUIRED, accepted[Meaning.NEEDS_IDENTITY])
    plain = next(iter(accepted.values()), None)
    if plain is None:
        return PolicyDecision(PolicyAction.CONTINUE, PolicyReason.NONE, 1.0)
    return PolicyDecision(
        PolicyAction.CONTINUE, PolicyReason.NONE, 1.0, plain.example, plain.rule, plain.score, plain.margin
    )


def _decision(action: PolicyAction, reason: PolicyReason, score: MeaningScore) -> PolicyDecision:
    confidence = round(min(1.0, max(0.0, score.score)), 4)
    return PolicyDecision(action, reason, confidence, score.example, score.rule, score.score, score.margin)
