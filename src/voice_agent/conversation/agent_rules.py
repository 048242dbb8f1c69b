"""What the machine knows of the agent that takes a call: its own words, its policy and where it hands over.

Plain frozen records, part of ``MachineSettings``: a log's header carries them, so that a call replays with the agent it had.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from voice_agent.conversation.locales import LocaleProfile, Prompts, language_of
from voice_agent.models import Meaning, PolicyAction, PolicyReason, TransferTarget

ADJUSTABLE: Mapping[Meaning, frozenset[PolicyAction]] = MappingProxyType(
    {
        Meaning.ABUSE: frozenset({PolicyAction.BLOCK, PolicyAction.ESCALATE, PolicyAction.CONTINUE}),
        Meaning.FRAUD_REPORT: frozenset({PolicyAction.ESCALATE, PolicyAction.CONTINUE}),
        Meaning.LEGAL_THREAT: frozenset({PolicyAction.ESCALATE, PolicyAction.CONTINUE}),
        Meaning.NEEDS_IDENTITY: frozenset({PolicyAction.AUTHENTICATE, PolicyAction.CONTINUE}),
    }
)
"""What an agent may decide otherwise. The rest holds for every agent: an emergency and the wish for a human always reach
one, injections and card details are always refused."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Phrase:
    """An agent's own words for the prompt ``name`` (a field of ``Prompts``) in ``locale``: a language, or one tag of it."""

    locale: str
    name: str
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """A turn of this meaning is met by ``action``, one of those in ``ADJUSTABLE``."""

    meaning: Meaning
    action: PolicyAction


@dataclass(frozen=True, slots=True)
class HandoverRule:
    """``target`` takes the handovers for these reasons; without any, those that no other target takes."""

    target: TransferTarget
    reasons: tuple[PolicyReason, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentRules:
    """The defaults are those of an agent without a file."""

    name: str = ""
    phrases: tuple[Phrase, ...] = ()
    policy: tuple[PolicyChange, ...] = ()
    handovers: tuple[HandoverRule, ...] = ()

    def in_own_words(self, locale: LocaleProfile) -> LocaleProfile:
        """The locale with this agent's phrases in place of its own; those of its tag go before those of its language."""
        language = language_of(locale.tag)
        own: dict[str, tuple[str, ...]] = {}
        for wanted in (language, locale.tag):
            own |= {phrase.name: phrase.segments for phrase in self.phrases if phrase.locale == wanted}
        if not own:
            return locale
        changed: dict[str, Any] = {
            name: segments if is_segmented(name) else " ".join(segments) for name, segments in own.items()
        }
        return replace(locale, prompts=replace(locale.prompts, **changed))

    def action_for(self, meaning: Meaning, usual: PolicyAction) -> PolicyAction:
        return next((change.action for change in self.policy if change.meaning is meaning), usual)

    def target_for(self, reason: PolicyReason, wanted: str = "") -> TransferTarget | None:
        """Where a handover goes: the target ``wanted`` by name, else the one for its reason, else the one for all others.
        None where there is none of these."""
        by_name = [rule for rule in self.handovers if wanted and rule.target.name == wanted]
        by_reason = [rule for rule in self.handovers if reason in rule.reasons]
        for_all = [rule for rule in self.handovers if not rule.reasons]
        rule = next(iter((*by_name, *by_reason, *for_all)), None)
        return rule.target if rule is not None else None


def for_locale(values: Mapping[str, T], tag: str) -> T | None:
    """The value for a tag, else for its language."""
    return values.get(tag, values.get(language_of(tag)))


def is_segmented(prompt: str) -> bool:
    """Whether a prompt is spoken in segments of its own; others are one text."""
    return str(Prompts.__annotations__[prompt]) != "str"
