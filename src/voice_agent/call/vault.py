"""The one place where a secret's digits exist: in memory, for as long as they are needed, and nowhere else.

Recogniser text and pressed keys pass through here before they become events. While a secret is being collected every digit
is taken out and kept; what goes on holds a placeholder and a count. At other times what could be the secret, a card or its
code is taken out all the same (``secret_numbers``).
"""

from __future__ import annotations

from collections.abc import Callable

from voice_agent.call.secret_numbers import Begun, Situation, without_secret_numbers
from voice_agent.conversation.spoken_forms.digits import digit_runs
from voice_agent.conversation.spoken_forms.heard import normalise_heard
from voice_agent.models import OpenQuestion, UtteranceId

_KEYS = "keys"
# A partial with this many words and no digit among them is no PIN in the making.
_CLEAR_WORDS = 3
# Keys with a longer pause between them are two numbers.
_KEYS_APART_S = 2.5
_PHONE_DIGITS_MAX = 15  # ITU-T E.164


class SecretVault:
    """One call's vault. Its repr shows no digits. ``mask`` replaces personal data in a text with placeholders.

    ``secret_digits`` is the length of the PIN, which is collected first; ``code_lengths`` are those of further secrets,
    ``order_digits`` that of an order number.
    """

    def __init__(
        self,
        *,
        secret_digits: int,
        order_digits: int,
        mask: Callable[[str], str],
        code_lengths: frozenset[int] = frozenset(),
    ) -> None:
        self._expected = secret_digits
        self._pin_digits = secret_digits
        self._code_lengths = code_lengths
        self._order_digits = order_digits
        self._mask = mask
        self._parts: dict[UtteranceId | str, str] = {}  # in the order they came
        self._known: frozenset[str] = frozenset()
        self._keyed, self._keyed_at = "", 0.0
        # A number may go on in the next utterance: what the one before this left, and what this one leaves.
        self._utterance_id: UtteranceId | None = None
        self._begun: Begun | None = None
        self._left: Begun | None = None

    def __repr__(self) -> str:
        return "SecretVault(…)"

    def hear(
        self,
        utterance_id: UtteranceId,
        text: str,
        *,
        partial: bool,
        collecting: bool,
        unverified: bool,
        asked: OpenQuestion = OpenQuestion.NONE,
    ) -> tuple[str, int]:
        """The text as it may go on, and how many digits of a secret were taken out of it.

        A later text of the same utterance replaces what an earlier one left here. The first words of a ``partial`` while a
        secret is collected are withheld: "fort" may become "forty-two".
        """
        if utterance_id != self._utterance_id:
            self._utterance_id, self._begun = utterance_id, self._left
        if collecting:
            self._left = None
            heard, digits = self._collect(utterance_id, text)
            return ("" if partial and not digits and len(heard.split()) < _CLEAR_WORDS else heard), digits
        situation = Situation(
            self._pin_digits, self._order_digits, unverified, partial, asked, self._known, self._code_lengths
        )
        safe, self._left = without_secret_numbers(text, self._begun, situation)
        return self._mask(normalise_heard(safe)), 0

    def _collect(self, utterance_id: UtteranceId, text: str) -> tuple[str, int]:
        runs = digit_runs(text, lenient=True, length=self._expected)
        if runs.corrected:
            self.discard()
        digits = runs.candidate(self._expected) or runs.attempt
        if digits:
            self._parts[utterance_id] = digits
        else:
            self._parts.pop(utterance_id, None)
        return self._mask(runs.redacted), len(digits)

    def expect(self, digits: int) -> None:
        """The secret collected from now on has this many digits."""
        self._expected = digits

    def press(self, key: str) -> None:
        """A digit of the secret was keyed. Keys with words between them are parts of their own."""
        newest = next(reversed(self._parts), None)
        if not isinstance(newest, str):
            newest = f"{_KEYS}-{len(self._parts)}"
        self._parts[newest] = self._parts.get(newest, "") + key

    def may_show(self, key: str, now: float, asked: OpenQuestion) -> bool:
        """Whether a digit keyed at ``now`` (seconds), while another number than the secret is ``asked`` for, may be seen.

        One behind all digits that such a number has is a card's, and the last of a known secret would give it away.
        """
        if now - self._keyed_at > _KEYS_APART_S:
            self._keyed = ""
        self._keyed, self._keyed_at = self._keyed + key, now
        most = self._order_digits if asked is OpenQuestion.ORDER_NUMBER else _PHONE_DIGITS_MAX
        return len(self._keyed) <= most and not self._keyed.endswith(tuple(self._known))

    def secret(self) -> str:
        """The digits collected: the newest complete part, else everything in the order it came."""
        for digits in reversed(self._parts.values()):
            if len(digits) == self._expected:
                return digits
        return "".join(self._parts.values())

    def accept(self, secret: str) -> None:
        """``secret`` proved right: for the rest of the call it is taken out of whatever the caller says."""
        self._known |= {secret}
        self.discard()

    def discard(self) -> None:
        """Forgets the digits collected."""
        self._parts.clear()

    def close(self) -> None:
        """Forgets everything: the call is over."""
        self.discard()
        self._known = frozenset()
        self._keyed = ""
        self._begun = self._left = None
