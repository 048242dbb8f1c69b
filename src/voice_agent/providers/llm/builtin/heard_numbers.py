"""Order numbers in what a caller said, however they said them."""

from __future__ import annotations

from voice_agent.conversation.spoken_forms.digits import digit_runs

_LEAST_DIGITS = 4  # shorter runs are amounts, days and ordinals


def order_numbers(text: str) -> tuple[str, ...]:
    """Digits only, in spoken order: "eight three one oh two" → "83102"."""
    found = digit_runs(text)
    if found.corrected and len(found.attempt) >= _LEAST_DIGITS:
        return (found.attempt,)
    return tuple(run for run in found.runs if len(run) >= _LEAST_DIGITS)
