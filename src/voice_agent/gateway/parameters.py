"""The query string of ``WS /ws/call``, checked. The contract is docs/protocol.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from voice_agent.audio.resample import RATES_HZ
from voice_agent.call.door import HEAR_RATE_HZ, SPEAK_RATE_HZ
from voice_agent.conversation.locales import DEFAULT_LOCALE
from voice_agent.errors import CallerError

MAX_CALLER_ID_CHARACTERS = 128
MAX_NAME_CHARACTERS = 64
MAX_PARAMETERS = 64
# BCP 47 tags: RFC 5646 §4.4.1 asks for room for 35 characters. Anything else cannot name a locale.
_LOCALE = re.compile(r"[A-Za-z0-9_-]{1,35}")


@dataclass(frozen=True, slots=True)
class CallParameters:
    """What a client asks for. ``locale`` is well-formed but perhaps unknown (the call falls back and says so), or empty
    where the client names none; ``agent`` and ``called`` (the number that was dialled) say who is to answer, or are empty.
    """

    caller_id: str
    locale: str
    events: bool
    in_rate_hz: int
    out_rate_hz: int
    agent: str = ""
    called: str = ""


def parse_query(query: str) -> dict[str, str]:
    """The query's parameters; of a repeated one the last counts.

    A plus sign is taken as it stands, not as a space: telephone numbers begin with one and few people escape it.
    Raises ``CallerError``.
    """
    try:
        return dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS))
    except ValueError:
        raise CallerError(f"query: at most {MAX_PARAMETERS} parameters are allowed") from None


def call_parameters(query: Mapping[str, str]) -> CallParameters:
    """Raises ``CallerError`` (1008) naming the parameter and what is allowed, in at most 123 bytes: a close reason's
    room (RFC 6455 §5.5)."""
    caller_id = query.get("caller_id", "")
    if len(caller_id) > MAX_CALLER_ID_CHARACTERS:
        raise CallerError(f"caller_id: {len(caller_id)} characters given, at most {MAX_CALLER_ID_CHARACTERS} allowed")
    if not caller_id.isprintable():
        raise CallerError("caller_id: only printable characters are allowed")
    locale = query.get("locale", "")
    return CallParameters(
        caller_id=caller_id.strip(),
        locale=locale if not locale or _LOCALE.fullmatch(locale) else DEFAULT_LOCALE,
        agent=_short(query, "agent"),
        called=_short(query, "called"),
        events=_flag(query, "events"),
        in_rate_hz=_rate(query, "in_rate", HEAR_RATE_HZ),
        out_rate_hz=_rate(query, "out_rate", SPEAK_RATE_HZ),
    )


def _short(query: Mapping[str, str], name: str) -> str:
    value = query.get(name, "")
    if len(value) > MAX_NAME_CHARACTERS:
        raise CallerError(f"{name}: {len(value)} characters given, at most {MAX_NAME_CHARACTERS} allowed")
    return value.strip()


def _flag(query: Mapping[str, str], name: str) -> bool:
    value = query.get(name, "0")
    if value not in ("0", "1"):
        raise CallerError(f"{name}: allowed are 0 and 1")
    return value == "1"


def _rate(query: Mapping[str, str], name: str, default_hz: int) -> int:
    value = query.get(name, str(default_hz))
    for rate_hz in RATES_HZ:
        if value == str(rate_hz):
            return rate_hz
    raise CallerError(f"{name}: allowed are {', '.join(map(str, RATES_HZ))}")
