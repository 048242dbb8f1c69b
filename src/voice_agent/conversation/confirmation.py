"""Did the caller agree to what was read back? Told by words alone, and only where they leave no doubt.

Rules: any word of refusal makes it a no, "wait" included; a yes must stand at the beginning, and nothing may be asked beside
it; long answers are neither, because they say something else as well. What is neither is no agreement.
"""

from __future__ import annotations

from enum import Enum

from voice_agent.conversation.endpointing import words_of
from voice_agent.conversation.locale_data.profile import LocaleProfile

# "Yes please, go ahead and cancel the order" is an agreement; much more than that is a message of its own.
_LONGEST_WORDS = 10


class Agreement(Enum):
    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


def agreement(text: str, locale: LocaleProfile) -> Agreement:
    """What ``text`` answers to "is that right?"."""
    words = words_of(text)
    plain = f" {' '.join(words)} "
    if any(f" {phrase} " in plain for phrase in locale.refusals):
        return Agreement.NO
    said_yes = any(plain.startswith(f" {phrase} ") for phrase in locale.agreements)
    if said_yes and len(words) <= _LONGEST_WORDS and "?" not in text:
        return Agreement.YES
    return Agreement.UNCLEAR
