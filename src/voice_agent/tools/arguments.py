"""Arguments that several of the shop's tools take, as JSON schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Letters of any script, and no control character, which databases and speech have no use for.
_PLAIN = r"(?![\s\S]*[\x00-\x1f\x7f])"

ORDER_ID: Mapping[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "description": "The order number as the caller said it, such as 83102.",
}

REASON: Mapping[str, Any] = {
    "type": "string",
    "maxLength": 200,
    "pattern": f"^{_PLAIN}",
    "description": "Why, in a few words, if it was said.",
}


def text_schema(most_chars: int, description: str) -> Mapping[str, Any]:
    """A text that says something."""
    return {
        "type": "string",
        "minLength": 1,
        "maxLength": most_chars,
        "pattern": rf"^{_PLAIN}[\s\S]*\S",
        "description": description,
    }
