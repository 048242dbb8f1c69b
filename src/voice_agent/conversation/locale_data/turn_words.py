"""How a language sounds when a turn is not over, or is: openers, requests to wait, broken-off sentences, farewells.

All texts are lower case, without punctuation, hyphens written as blanks; a phrase is words with single blanks. The
patterns see such a text too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NEVER = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class TurnWords:
    """What endpointing reads, beside the hesitations and open endings of the locale.

    - ``holds``: phrases that ask the agent to wait ("hold on"); with one of them a turn may stay silent for long.
    - ``openers``: words and phrases that begin a turn more often than they are one ("hi there", "so").
    - ``greetings``: those of them that a lone caller says to find out whether somebody is there.
    - ``open_phrases``: endings that leave a sentence unfinished though their last word does not tell ("can you tell me").
    - ``closed_endings``: matches a text that is whole though its last word mostly leaves one open ("yes please do that").
    - ``hold_reason``: matches what follows a request to wait ("let me get it").
    - ``broken_clause``: matches a text that is only the first clause of a sentence ("when i opened the box").
    - ``asks``: matches a sentence that is a whole question or request by its form.
    - ``tells``: matches a story that leads up to a request ("i ordered two tents").
    - ``states``: matches a statement that asks for nothing and complains of nothing ("we're going camping on saturday").
    - ``introduces``: matches a caller who says who they are.
    - ``closers``: endings after which a turn is over ("thank you").
    - ``short_answers``: whole answers to a yes/no question beyond its single words ("i think so").
    - ``tens`` and ``teens``: number words that are two digits of a number read out; ``repeats``: "double".
    - ``zero_letters``: words that are a zero only among digits ("oh").
    - ``at_words``, ``dot_words``, ``joiners``: how an e-mail address is said.
    - ``months``, ``whole_dates`` (phrases that are a date by themselves), ``date_lead``: matches the text of a date that
      has only begun; ``ordinals``.
    - ``order_lead``, ``email_lead``, ``phone_lead``: match the words up to where such a thing begins, said unasked ("my
      order number is"); ``day_lead``: matches a text that ends in a day without its month ("on the third").
    - ``takes_back``: matches what stops a handover that was announced ("wait", "no, don't").
    - ``declines``: how a caller says that there is no such number or address ("don't have").
    """

    holds: frozenset[str] = frozenset()
    openers: frozenset[str] = frozenset()
    greetings: frozenset[str] = frozenset()
    open_phrases: frozenset[str] = frozenset()
    closed_endings: re.Pattern[str] = _NEVER
    hold_reason: re.Pattern[str] = _NEVER
    broken_clause: re.Pattern[str] = _NEVER
    asks: re.Pattern[str] = _NEVER
    tells: re.Pattern[str] = _NEVER
    states: re.Pattern[str] = _NEVER
    introduces: re.Pattern[str] = _NEVER
    closers: frozenset[str] = frozenset()
    short_answers: frozenset[str] = frozenset()
    tens: frozenset[str] = frozenset()
    teens: frozenset[str] = frozenset()
    repeats: tuple[tuple[str, int], ...] = ()
    zero_letters: frozenset[str] = frozenset()
    at_words: frozenset[str] = frozenset({"at"})
    dot_words: frozenset[str] = frozenset({"dot"})
    joiners: frozenset[str] = frozenset()
    months: frozenset[str] = frozenset()
    ordinals: frozenset[str] = frozenset()
    whole_dates: re.Pattern[str] = _NEVER
    date_lead: re.Pattern[str] = _NEVER
    order_lead: re.Pattern[str] = _NEVER
    email_lead: re.Pattern[str] = _NEVER
    phone_lead: re.Pattern[str] = _NEVER
    day_lead: re.Pattern[str] = _NEVER
    takes_back: re.Pattern[str] = _NEVER
    declines: re.Pattern[str] = _NEVER


def phrases(text: str) -> frozenset[str]:
    """The phrases of a list divided by "|"."""
    return frozenset(text.replace("-", " ").split("|"))


def pattern(text: str) -> re.Pattern[str]:
    """For texts whose hyphens are blanks; so no pattern here may use a range of characters."""
    return re.compile(text.replace("-", " "))
