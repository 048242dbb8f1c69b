"""Are these the agent's own words? What a recogniser makes of the agent's echo resembles what the agent has just said.

The comparison is by letters, because an echo is cut at other places than words and half-heard: the fewest edits that turn
the heard letters into some stretch of the spoken ones, as a share of the heard letters (approximate substring matching;
the bit-parallel algorithm of G. Myers, J. ACM 46, 1999).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from voice_agent.conversation.endpointing import words_of

# Stands for what a caller said of themselves, and was not said itself: "[ADDRESS]" is no echo of "your address?".
_PLACEHOLDER: Final = re.compile(r"\[[A-Z]+(?: \d+)?\]")
# Fewer letters than this resemble something in any sentence.
_FEWEST_LETTERS: Final = 7
# The end of what was heard is what counts, and bounds the work.
_MOST_LETTERS: Final = 60
# Where so many letters resembled nothing, the echo is over. Who says the agent's words later means them; and looking at
# more of a long turn would take tens of milliseconds.
_OVER_LETTERS: Final = 120


def likeness(heard: str, spoken: Iterable[str]) -> float:
    """How much of ``heard`` is found, in order, within the ``spoken`` texts: 1 for all of it, 0 for nothing or for too
    little to tell. Unrelated sentences of one language reach about 0.5."""
    pattern = "".join(words_of(_PLACEHOLDER.sub(" ", heard)))[-_MOST_LETTERS:]
    if len(pattern) < _FEWEST_LETTERS:
        return 0.0
    text = "".join(word for part in spoken for word in words_of(part))
    if not text:
        return 0.0
    return 1.0 - _fewest_edits(pattern, text) / len(pattern)


def without_echo(text: str, spoken: str, *, alike: float) -> str:
    """``text`` without its beginning that is found in ``spoken`` (a ``likeness`` of at least ``alike``): somebody spoke on
    after the agent's echo. Of several such beginnings the one that explains most letters counts, an edit weighing two."""
    words = text.split()
    best_count, best_gain = 0, 0.0
    alike_letters = 0
    for count in range(1, len(words) + 1):
        beginning = " ".join(words[:count])
        found = likeness(beginning, (spoken,))
        gain = len(beginning) * (1.0 - 2.0 * (1.0 - found))
        if found >= alike:
            alike_letters = len(beginning)
            if gain > best_gain:
                best_count, best_gain = count, gain
        elif len(beginning) - alike_letters > _OVER_LETTERS:
            break
    return " ".join(words[best_count:])


def _fewest_edits(pattern: str, text: str) -> int:
    """The smallest edit distance between ``pattern`` and any substring of ``text``."""
    ends = 1 << (len(pattern) - 1)
    everywhere = (1 << len(pattern)) - 1
    places: dict[str, int] = {}
    for index, letter in enumerate(pattern):
        places[letter] = places.get(letter, 0) | 1 << index
    up, down = everywhere, 0  # vertical differences of the distance matrix's column: +1 and -1
    score = best = len(pattern)
    for letter in text:
        same = places.get(letter, 0)
        diagonal = (((same & up) + up) ^ up) | same | down
        rising = down | ~(diagonal | up)
        falling = up & diagonal
        if rising & ends:
            score += 1
        elif falling & ends:
            score -= 1
        best = min(best, score)
        rising = rising << 1
        falling = falling << 1
        up = (falling | ~(diagonal | rising)) & everywhere
        down = rising & diagonal & everywhere
    return best
