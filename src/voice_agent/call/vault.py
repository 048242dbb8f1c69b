"""The one place where a secret's digits exist: in memory, for as long as they are needed, and nowhere else.

Recogniser text and pressed keys pass through here before they become events. While a secret is being collected every digit
is taken out and kept; what goes on holds a placeholder and a count. At other times a run of digits that could be the
secret, or is known to be it, is taken out all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from voice_agent.conversation.spoken_forms.digits import PLACEHOLDER, digit_runs, located_runs
from voice_agent.conversation.spoken_forms.heard import normalise_heard
from voice_agent.models import UtteranceId

_KEYS = "keys"
# A partial with this many words and no digit among them is no PIN in the making.
_CLEAR_WORDS = 3

# "order number is …", also "order number, a 3102": recognisers hear "eight" as "a".
_ORDER_BEFORE = re.compile(r"\border(?:\s+(?:number|no|id|is|it's|a))*[\s.,:#]*(?:\ba\s*)?$", re.IGNORECASE)
# "Six one three oh": alone it might be a sigh, behind digits that lack one it is a zero.
_ZERO_BEHIND = re.compile(r"[\s,-]*\bo(?:h)?\b", re.IGNORECASE)


class SecretVault:
    """One call's vault. Its repr shows no digits. ``mask`` replaces personal data in a text with placeholders.

    ``secret_digits`` is the length of the secret that is collected first; ``code_lengths`` are those of further ones.
    """

    def __init__(
        self, *, secret_digits: int, mask: Callable[[str], str], code_lengths: frozenset[int] = frozenset()
    ) -> None:
        self._expected = secret_digits
        self._lengths = code_lengths | {secret_digits}
        self._mask = mask
        self._parts: dict[UtteranceId | str, str] = {}  # in the order they came
        self._known: set[str] = set()

    def __repr__(self) -> str:
        return "SecretVault(…)"

    def hear(
        self, utterance_id: UtteranceId, text: str, *, partial: bool, collecting: bool, unverified: bool
    ) -> tuple[str, int]:
        """The text as it may go on, and how many digits of a secret were taken out of it.

        A later text of the same utterance replaces what an earlier one left here. The first words of a ``partial`` while a
        secret is collected are withheld: "fort" may become "forty-two".
        """
        if collecting:
            heard, digits = self._collect(utterance_id, text)
            return ("" if partial and not digits and len(heard.split()) < _CLEAR_WORDS else heard), digits
        return self._mask(normalise_heard(self._without_codes(text, unverified=unverified))), 0

    def _collect(self, utterance_id: UtteranceId, text: str) -> tuple[str, int]:
        runs = digit_runs(text, lenient=True, length=self._expected)
        if runs.corrected:
            self.discard()
        self._parts.pop(utterance_id, None)
        digits = runs.candidate(self._expected) or runs.attempt
        if digits:
            self._parts[utterance_id] = digits
        return self._mask(runs.redacted), len(digits)

    def _without_codes(self, text: str, *, unverified: bool) -> str:
        """Replaces runs as long as a secret while the caller is ``unverified``, unless they are called an order number,
        and the known secrets at any time."""
        out, done = [], 0
        for run in located_runs(text):
            digits, end = run.digits, run.end
            if len(digits) + 1 in self._lengths and (zero := _ZERO_BEHIND.match(text, end)):
                digits, end = f"{digits}0", zero.end()
            could_be = self._holds_known(digits) or (unverified and len(digits) in self._lengths)
            if digits in self._known or (could_be and not _ORDER_BEFORE.search(text[: run.start])):
                out += [text[done : run.start], PLACEHOLDER]
                done = end
        return "".join(out) + text[done:]

    def _holds_known(self, digits: str) -> bool:
        """A known secret with one digit more: "the right one, and eight two …" is heard as one run."""
        return any(secret in digits and len(digits) - len(secret) <= 1 for secret in self._known)

    def expect(self, digits: int) -> None:
        """The secret collected from now on has this many digits."""
        self._expected = digits

    def press(self, key: str) -> None:
        """A digit of the secret was keyed."""
        self._parts[_KEYS] = self._parts.get(_KEYS, "") + key

    def secret(self) -> str:
        """The digits collected: the newest complete part, else everything in the order it came."""
        for digits in reversed(self._parts.values()):
            if len(digits) == self._expected:
                return digits
        return "".join(self._parts.values())

    def accept(self, secret: str) -> None:
        """``secret`` proved right: for the rest of the call it is taken out of whatever the caller says."""
        self._known.add(secret)
        self.discard()

    def discard(self) -> None:
        """Forgets the digits collected."""
        self._parts.clear()

    def close(self) -> None:
        """Forgets everything: the call is over."""
        self.discard()
        self._known.clear()
