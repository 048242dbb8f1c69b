"""The one place where a secret's digits exist: in memory, for as long as they are needed, and nowhere else.

Recogniser text and pressed keys pass through here before they become events. While a secret is being collected its digits
are taken out and kept; what goes on holds a placeholder and a count.
"""

from __future__ import annotations

from collections.abc import Callable

from voice_agent.conversation.spoken_forms.digits import PLACEHOLDER, digit_runs
from voice_agent.conversation.spoken_forms.heard import normalise_heard
from voice_agent.models import UtteranceId


class SecretVault:
    """One call's vault. Its repr shows no digits. ``mask`` replaces personal data in a text with placeholders."""

    def __init__(self, *, secret_digits: int, mask: Callable[[str], str]) -> None:
        self._expected = secret_digits
        self._mask = mask
        self._spoken: dict[UtteranceId, str] = {}
        self._keyed = ""

    def __repr__(self) -> str:
        return "SecretVault(…)"

    def hear(self, utterance_id: UtteranceId, text: str, *, collecting: bool, unverified: bool) -> tuple[str, int]:
        """The text as it may go on, and how many digits of a secret were taken out of it.

        A later text of the same utterance replaces what an earlier one left here. Out of a collecting state, an utterance
        that is nothing but a PIN's worth of digits is still withheld while the caller is ``unverified``.
        """
        runs = digit_runs(text, lenient=collecting, length=self._expected)
        code = runs.candidate(self._expected)
        if collecting:
            if runs.corrected:
                self.discard()
            digits = code or runs.attempt
            if digits:
                self._spoken[utterance_id] = digits
            else:
                self._spoken.pop(utterance_id, None)
            return self._mask(runs.redacted), len(digits)
        if unverified and code is not None and _is_only_placeholders(runs.redacted):
            return runs.redacted, 0
        return self._mask(normalise_heard(text)), 0

    def press(self, key: str) -> None:
        """A digit of the secret was keyed."""
        self._keyed += key

    def secret(self) -> str:
        """The digits collected: the newest complete run, else everything in the order it came."""
        for digits in (self._keyed, *reversed(self._spoken.values())):
            if len(digits) == self._expected:
                return digits
        return "".join(self._spoken.values()) + self._keyed

    def discard(self) -> None:
        self._spoken.clear()
        self._keyed = ""


def _is_only_placeholders(redacted: str) -> bool:
    return not redacted.replace(PLACEHOLDER, "").strip(" .,!?-")
