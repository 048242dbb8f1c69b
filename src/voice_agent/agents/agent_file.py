"""The agent file: one YAML document that describes one agent. docs/agents.md describes it to the people who write it.

Loading finds every mistake that can be found without asking anybody, and tells it in one line with file and line number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from voice_agent.conversation.agent import AgentLimits, AgentProfile
from voice_agent.conversation.agent_rules import ADJUSTABLE, AgentRules, HandoverRule, Phrase, PolicyChange
from voice_agent.conversation.locales import LANGUAGES, LOCALES, Prompts, resolve_locale
from voice_agent.models import Meaning, PolicyAction, PolicyReason, ToolScope, TransferTarget
from voice_agent.providers.data_file import Entry, load_data_file
from voice_agent.rag.names import check_collection_name

SHIPPED = "agent.yaml"

ALWAYS = frozenset({"transfer_to_human", "end_call"})
"""Tools that no agent can be without."""
KNOWLEDGE_TOOL = "knowledge_base"
_NEVER_HANDED_OVER = frozenset({PolicyReason.NONE, PolicyReason.CARD_DETAILS, PolicyReason.PROMPT_INJECTION})

# What can be dialled: a SIP or telephone address (RFC 3261 §19.1, RFC 3966).
_ADDRESS = r"^(sips?:[^\s@]+@[^\s@]+|tel:\+?[0-9().*#-]{2,32})$"
_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{1,24}")


def _known_locale(tag: str) -> str:
    if tag not in LOCALES:
        raise ValueError(f"there is no locale {tag!r}; known: {', '.join(LOCALES)}")
    return tag


def _language_or_tag(name: str) -> str:
    if name not in LOCALES and name not in LANGUAGES:
        known = ", ".join((*LANGUAGES, *LOCALES))
        raise ValueError(f"{name!r} is neither a language nor a locale; known: {known}")
    return name


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _telephone_number(text: str) -> str:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is no telephone number: write it with digits, as +1 555 0100")
    return text


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for at, name in enumerate(names) if name in names[:at]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands here twice")
    return names


def _hands_over(reason: PolicyReason) -> PolicyReason:
    if reason in _NEVER_HANDED_OVER:
        raise ValueError(f"nobody is handed over for {reason.value!r}")
    return reason


def _not_of_a_language(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        check_collection_name(name)
    return names


Where = Annotated[str, AfterValidator(_language_or_tag)]
Text = Annotated[str, Field(min_length=1, max_length=4_000)]
Segments = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=500)], ...],
    BeforeValidator(_one_or_many),
    Field(min_length=1, max_length=12),
]
Words = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=60)], ...], BeforeValidator(_one_or_many), Field(max_length=100)
]
Names = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")], ...],
    BeforeValidator(_one_or_many),
    AfterValidator(_each_once),
]
# What Chroma takes as the name of a collection.
Collections = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,58}[A-Za-z0-9]$")], ...],
    BeforeValidator(_one_or_many),
    AfterValidator(_each_once),
    AfterValidator(_not_of_a_language),
]


class TargetEntry(Entry):
    """Somewhere calls are handed over to."""

    purpose: str = Field(min_length=1, max_length=200)
    address: str = Field("", pattern=f"^$|{_ADDRESS}")
    reasons: tuple[Annotated[PolicyReason, AfterValidator(_hands_over)], ...] = ()


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class LimitsEntry(Entry):
    max_turns: int | None = Field(None, ge=1, le=10_000)
    max_failures: int | None = Field(None, ge=1, le=100)
    session_ttl_s: Seconds | None = None
    turn_timeout_s: Annotated[Seconds, Field(ge=0.1)] | None = None
    idle_prompt_s: Seconds | None = None
    idle_hangup_s: Seconds | None = None


class AgentFile(Entry):
    """The document. ``tools`` left out means all of the server's, ``knowledge`` left out the server's collection."""

    version: int = Field(1, ge=1, le=1)
    name: str = Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")
    title: str = Field("", max_length=120)
    numbers: Annotated[
        tuple[Annotated[str, AfterValidator(_telephone_number)], ...], BeforeValidator(_one_or_many)
    ] = ()
    locale: Annotated[str, AfterValidator(_known_locale)] = ""
    persona: Mapping[Where, Text] = Field(default_factory=dict)
    greeting: Mapping[Where, Segments] = Field(default_factory=dict)
    phrases: Mapping[Where, Mapping[str, Segments]] = Field(default_factory=dict)
    tools: Names | None = None
    knowledge: Collections | None = None
    policy: Mapping[Meaning, PolicyAction] = Field(default_factory=dict)
    transfer: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")], TargetEntry] = Field(
        default_factory=dict
    )
    voices: Mapping[Where, Annotated[str, Field(min_length=1, max_length=100)]] = Field(default_factory=dict)
    keywords: Mapping[Where, Words] = Field(default_factory=dict)
    limits: LimitsEntry = LimitsEntry()
    order_number_digits: int | None = Field(None, ge=1, le=13)

    def problems(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        for where, own in self.phrases.items():
            for name, segments in own.items():
                yield from ((("phrases", where, name), problem) for problem in _phrase_problems(where, name, segments))
        for where, segments in self.greeting.items():
            if where in self.phrases and "greeting" in self.phrases[where]:
                yield ("greeting", where), "there is another greeting under 'phrases' for it"
            yield from ((("greeting", where), problem) for problem in _phrase_problems(where, "greeting", segments))
        for meaning, action in self.policy.items():
            allowed = ADJUSTABLE.get(meaning)
            if allowed is None:
                can = ", ".join(sorted(known.value for known in ADJUSTABLE))
                yield ("policy", meaning.value), f"this is the same for every agent; an agent may change {can}"
            elif action not in allowed:
                listed = ", ".join(sorted(known.value for known in allowed))
                yield ("policy", meaning.value), f"{action.value!r} is not possible here; use one of {listed}"
        taken: dict[PolicyReason, str] = {}
        for name, target in self.transfer.items():
            for reason in target.reasons:
                if reason in taken:
                    yield ("transfer", name), f"{reason.value!r} goes to {taken[reason]!r} already"
                taken[reason] = name

    def profile(self) -> AgentProfile:
        phrases = [Phrase(where, "greeting", segments) for where, segments in self.greeting.items()]
        phrases += [Phrase(where, name, text) for where, own in self.phrases.items() for name, text in own.items()]
        return AgentProfile(
            rules=AgentRules(
                name=self.name,
                phrases=tuple(phrases),
                policy=tuple(PolicyChange(meaning, action) for meaning, action in self.policy.items()),
                handovers=tuple(
                    HandoverRule(TransferTarget(name, target.address), target.reasons)
                    for name, target in self.transfer.items()
                ),
            ),
            title=self.title or self.name,
            numbers=self.numbers,
            default_locale=self.locale,
            personas=dict(self.persona),
            voices=dict(self.voices),
            keywords=dict(self.keywords),
            tools=self._tools(),
            knowledge=self.knowledge or (),
            desks={name: target.purpose for name, target in self.transfer.items()},
            limits=AgentLimits(**self.limits.model_dump()),
            order_number_digits=self.order_number_digits,
        )

    def _tools(self) -> ToolScope:
        """Every agent can hand over and end the call; one without collections has nothing to look up."""
        only = None if self.tools is None else frozenset(self.tools) | ALWAYS
        return ToolScope(only, without=frozenset({KNOWLEDGE_TOOL}) if self.knowledge == () else frozenset())


def load_agent(path: Path | None) -> AgentProfile:
    """The agent in a file, or the shipped one. Raises ``ConfigError`` naming file and line."""
    return load_data_file(AgentFile, path, SHIPPED).profile()


def _phrase_problems(where: str, name: str, segments: tuple[str, ...]) -> Iterator[str]:
    if name not in Prompts.__slots__:
        yield f"there is no phrase of this name; known: {', '.join(Prompts.__slots__)}"
        return
    usual = getattr(resolve_locale(where).prompts, name)
    known = _fields(usual if isinstance(usual, tuple) else (usual,))
    try:
        used = _fields(segments)
    except ValueError as error:
        yield f"the braces do not fit: {error}"
        return
    if unknown := sorted(used - known):
        may = f"it may have {', '.join(f'{{{field}}}' for field in sorted(known))}" if known else "it has no fields"
        yield f"the field {{{unknown[0]}}} has no value here; {may}"


def _fields(segments: tuple[str, ...]) -> set[str]:
    """What stands in braces, as ``str.format`` reads it. Raises ``ValueError``."""
    parsed = (part for segment in segments for part in Formatter().parse(segment))
    return {
        f"{field}{'!' + conversion if conversion else ''}{':' + form if form else ''}"
        for _, field, form, conversion in parsed
        if field is not None
    }
