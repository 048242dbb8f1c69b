"""What an agent's text becomes before it is synthesised: words only, as a person would read them out.

``speakable`` is pure and total: any text gives a text, English without a digit left. A rule is a pattern and a function
from its match to words; rules run in order, the most specific first, so that the later and looser ones see only what is
left. What ``speakable`` says, ``heard.heard_values`` hears as the same values.
"""

from __future__ import annotations

from voice_agent.conversation.spoken_forms.calendar_words import AMERICAN, BRITISH, Style, date_words
from voice_agent.conversation.spoken_forms.markup import plain_text
from voice_agent.conversation.spoken_forms.speakable_english import english_words


def speakable(text: str, *, locale: str) -> str:
    """``text`` without markup and, in English, with everything written in figures or signs as words.

    Other languages pass through cleaned. Empty if nothing in the text can be said.
    """
    plain = plain_text(text)
    style = _style(locale)
    spoken = english_words(plain, style) if style else " ".join(plain.replace('"', "").split())
    return spoken if any(char.isalnum() for char in spoken) else ""


def spoken_date(month: int, day: int, year: int | None = None, *, locale: str) -> str:
    """A date for templates: "November twenty-fourth", or "the twenty-fourth of November". Raises ``ValueError``."""
    return date_words(year, month, day, _style(locale) or AMERICAN)


def _style(locale: str) -> Style | None:
    language, _, region = locale.replace("_", "-").lower().partition("-")
    if language != "en":
        return None
    return BRITISH if region in ("gb", "au", "nz", "ie", "in", "za") else AMERICAN
