"""What a tool is: a declaration and a handler. The router enforces the declaration, whatever a model asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voice_agent.conversation.locales import Prompts
from voice_agent.models import ALL_TOOLS, CallId, ToolScope

#: Marks tools whose arguments hold a secret: nothing about a call but its outcome may be written anywhere.
SENSITIVE_TAG = "sensitive"


class IdentityLevel(StrEnum):
    NONE = "none"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Who is asking. Injected by the call, never taken from a model's arguments.

    ``tools`` are those that the call's agent has, ``knowledge`` the collections that it answers from (empty: the server's
    own), ``prompts`` its words (None: those of ``locale``).
    """

    call_id: CallId
    caller_id: str
    verified: bool
    locale: str
    idempotency_key: str = ""
    tools: ToolScope = ALL_TOOLS
    knowledge: tuple[str, ...] = ()
    prompts: Prompts | None = None


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a handler gives back. ``found=False`` is a business answer ("no such order"), with a ``reason`` code."""

    data: Mapping[str, Any]
    found: bool = True
    reason: str = ""


# Arguments and locale tag to the question a caller must say yes to, ending in a question mark.
ReadBack = Callable[[Mapping[str, Any], str], str]

# A successful result's data to one or two sentences that can be spoken as they are, in English.
Summary = Callable[[Mapping[str, Any]], str]

ToolHandler = Callable[[Mapping[str, Any], ToolContext], Awaitable[ToolAnswer]]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. ``parameters`` is a JSON schema object; ``fallback`` is spoken when the tool fails, ``unsure`` where it may
    have changed something all the same (empty: general words); both in English, other languages have general words. With
    ``read_back`` it runs only after the caller has agreed, by voice, to what that says. ``keyed``: whoever does the work
    does it once for an idempotency key, so that it may be asked again what came of it. At most ``at_once`` calls of it are
    under way in this process; others wait for half of ``timeout_s``, which counts from when they came."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    handler: ToolHandler
    fallback: str
    unsure: str = ""
    timeout_s: float = 2.0
    at_once: int = 16
    read_only: bool = True
    keyed: bool = False
    identity: IdentityLevel = IdentityLevel.NONE
    model_callable: bool = True
    read_back: ReadBack | None = None
    summary: Summary | None = None
    tags: frozenset[str] = field(default_factory=frozenset)
