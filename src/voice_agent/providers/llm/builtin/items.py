"""Which things of an order a caller names, and how many of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from voice_agent.conversation.spoken_forms.english import NUMBERS
from voice_agent.providers.llm.builtin.filters import item_names
from voice_agent.providers.llm.builtin.orders import item_words, sounds_like

_COUNT_REACH = 5  # words before a thing's name in which its number stands: "one of the four ceramic mugs"
_COUNTS = {**NUMBERS.digits, "single": 1, "pair": 1, "couple": 2}
_THEM = frozenset("them these those".split())  # "the mugs, two of them are broken"
_POINTS = frozenset("the this that other first second last which".split())  # "the one with the mugs" counts nothing


def named_items(texts: Sequence[str], order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``{"name", "quantity"}`` of the things that the first of ``texts`` to name any names; [] where none does, or where
    the order holds nothing else and all of it is meant."""
    held = item_names(order.get("items"))
    for text in texts:
        named = [(name, count) for name, most in held if (count := _count(text, name, most))]
        if named:
            return [] if named == held else [{"name": name, "quantity": count} for name, count in named]
    return []


def _count(text: str, name: str, most: int) -> int:
    """How many pieces of a thing are meant; 0 where it is not named. "The mugs" are all of them, "my mug" is one."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    wanted = item_words(name)
    places = [at for at, word in enumerate(words) if any(sounds_like(part, word) for part in wanted)]
    if not places:
        return 0
    of_them = [at - 2 for at in range(2, len(words)) if words[at - 1] == "of" and words[at] in _THEM]
    for at in (*of_them, *range(max(0, places[0] - _COUNT_REACH), places[0])):
        word = words[at]
        points = word == "one" and at > 0 and words[at - 1] in _POINTS
        said = 0 if points else _COUNTS.get(word, int(word) if word.isdigit() else 0)
        if 0 < said <= most:
            return said
    singular = not words[places[-1]].endswith("s") and name.rpartition(" ")[2].startswith(words[places[-1]][:3])
    return 1 if singular else most
