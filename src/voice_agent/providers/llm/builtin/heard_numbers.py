"""Order numbers in what a caller said, however they said them."""

from __future__ import annotations

import re

from voice_agent.conversation.spoken_forms.digits import digit_runs
from voice_agent.conversation.spoken_forms.heard import heard_values


def order_numbers(text: str, usual_digits: int) -> tuple[str, ...]:
    """In spoken order, corrected ones left out: "eight three one oh two" → "83102". ``usual_digits``: how many digits an
    order number has, which decides whether an "oh" at its end belongs to it."""
    runs = digit_runs(text, length=usual_digits).runs
    longer = {run[:-1]: run for run in runs if len(run) == usual_digits}
    # "eight three one …" is often heard as "A3 1 …": a digit is missing exactly where an "a" stands before the others.
    for digits in re.findall(rf"\ba[\s-]?(\d{{{usual_digits - 1}}})\b", text, re.IGNORECASE):
        longer[digits] = longer[f"A-{digits}"] = f"8{digits}"
    return tuple(longer.get(found, found) for found in heard_values(text).order_ids)


def plain_number(order_id: str) -> str:
    """Letters and digits only, so that "AB-1234" and "ab 1234" are the same order."""
    return "".join(char for char in order_id if char.isalnum()).upper()
