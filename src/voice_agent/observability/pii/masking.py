"""Replaces personal data by placeholders, in texts and in whatever holds texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from voice_agent.observability.pii.finding import find_pii
from voice_agent.observability.pii.kinds import PiiSpan
from voice_agent.observability.pii.labels import LABEL_WORDS

# Keys of records that say what their value is, as words do in a sentence.
_KEY_HINTS = LABEL_WORDS | {"address", "street", "birth", "birthday", "dob", "born"}


def mask(text: str) -> str:
    """``text`` with every piece of personal data replaced by its placeholder. ``mask(mask(x)) == mask(x)``."""
    return replaced(text, lambda span: span.kind.placeholder)


def replaced(text: str, placeholder: Callable[[PiiSpan], str]) -> str:
    """``text`` with ``placeholder(span)`` for each piece of personal data.

    Masking can bring the words around a placeholder together into something new to mask; so it goes on until nothing is
    found. Each round leaves less that is not a placeholder, hence it ends.
    """
    while spans := find_pii(text):
        parts: list[str] = []
        at = 0
        for span in spans:
            parts += (text[at : span.start], placeholder(span))
            at = span.end
        parts.append(text[at:])
        text = "".join(parts)
    return text


def mask_any(value: Any, *, skip: frozenset[str] = frozenset(), mask: Callable[[str], str] = mask) -> Any:
    """``value`` with every string in it masked, keys included; dicts, lists and tuples are copied, other values pass.

    A key says what its value is: ``{"pin": "4271"}`` is masked, a long ``tracking_number`` is not. What stands under a key
    in ``skip`` (at any depth) is left as it is.
    """
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {
            (mask(key) if isinstance(key, str) else key): item
            if key in skip
            else _mask_under(key, item, mask)
            if isinstance(item, str)
            else mask_any(item, skip=skip, mask=mask)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [mask_any(item, skip=skip, mask=mask) for item in value]
    if isinstance(value, tuple):
        return tuple(mask_any(item, skip=skip, mask=mask) for item in value)
    return value


def _mask_under(key: object, text: str, mask: Callable[[str], str]) -> str:
    if isinstance(key, str) and key.isidentifier():
        words = key.lower().split("_")
        if not _KEY_HINTS.isdisjoint(words):
            lead = " ".join(words) + ": "
            masked = mask(lead + text)
            if masked.startswith(lead):
                return masked.removeprefix(lead)
    return mask(text)
