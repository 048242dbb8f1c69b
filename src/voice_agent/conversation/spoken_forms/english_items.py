"""Things and how many of them, in English, as a caller is told what an order holds."""

from __future__ import annotations

import re

_PAIRS = re.compile(
    r"\b(?:socks|boots|shoes|gloves|pants|trousers|mittens|sandals|slippers|gaiters|poles)$", re.IGNORECASE
)


def counted(name: str, quantity: int) -> str:
    """ "a ceramic mug", "4 ceramic mugs"; names that are plural already stay as they are."""
    plural = name.endswith("s") and not name.endswith("ss")
    if quantity == 1:
        if plural:
            return f"a pair of {name}" if _PAIRS.search(name) else name
        return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
    if plural:
        return f"{quantity} pairs of {name}" if _PAIRS.search(name) else f"{quantity} {name}"
    ending = "es" if re.search(r"(?:s|x|z|ch|sh)$", name) else "s"
    return f"{quantity} {name}{ending}"
