"""Which numbers in a caller's words are secret, or the beginning of one.

The masking (``observability/pii``) knows whole numbers and what is beside them in one text. Callers take breath: "my card
is four two four two" - "four two four two", "the security code is" - "four eight two". So each utterance is read with what
the one before it ended in, and a number that is called a PIN, a card or a security code is taken out from its first digits.
A text that is still being spoken (a partial) must not show what the next word makes a secret.

What has seven digits or more in one text is left to the masking.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from voice_agent.conversation.spoken_forms.digits import PLACEHOLDER, LocatedRun, located_runs
from voice_agent.conversation.spoken_forms.english import SECRETS
from voice_agent.models import OpenQuestion
from voice_agent.observability.pii.checks import passes_luhn
from voice_agent.observability.pii.kinds import PiiKind
from voice_agent.observability.pii.labels import Label, label_after, label_before

# "order number is …", also "order number, a 3102": recognisers hear "eight" as "a".
_ORDER_BEFORE = re.compile(r"\border(?:\s+(?:number|no|id|is|it's|a))*[\s.,:#]*(?:\ba\s*)?$", re.IGNORECASE)
_MASKED_DIGITS = 7  # a run this long is the masking's
_CARD_DIGITS = range(13, 20)
_CARD_START = re.compile(r"4|5[0-8]|2[2-7]|3[4-9]|6")
_CARD_GROUP_MIN = 4  # of a number that is called a card: "my card, 3 days ago"
_BEGUN_MIN = 2  # digits in a partial that may be those of a secret
_CVV_DIGITS = range(3, 5)
_HESITATION_WORDS = 4  # "um, one moment" between the name of a number and its digits

_PLACEHOLDERS = {
    Label.PIN: PLACEHOLDER,
    Label.CARD: PiiKind.CARD.placeholder,
    Label.CVV: PiiKind.CVV.placeholder,
    None: PiiKind.NUMBER.placeholder,
}
# "482 on the back".
_ON_THE_BACK = re.compile(r"[\s,]*(?:(?:is|are) )?on the (?:back|rear)\b", re.IGNORECASE)
_CARD_LABELS = frozenset({Label.CARD, Label.CVV})
_SECRET_LABELS = _CARD_LABELS | {Label.PIN}
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_BEFORE_DIGITS = SECRETS.fillers | SECRETS.introductions | {"rest", "remaining"}
_BEHIND_DIGITS = SECRETS.fillers | {"thanks", "thank", "you", "and"}
# The last word of a text whose number is still to come: "my PIN is", "the security code", "my card number's".
_PROMISES = re.compile(r"\b(?:is|are|it's|says|pin|code|number|digits|cv[vc]|card|back)\W*$|['’]s\W*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Begun:
    """A number that the next words may go on with: what it is called, and its digits so far (none where only the name has
    been said). Its repr shows no digits."""

    label: Label | None
    digits: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Situation:
    """``secret_digits``, ``order_digits``: what a PIN and an order number have; ``code_lengths``: what a code of a second
    factor may have. ``known`` are the secrets that proved right. ``asked``: what the agent's question was; to it, digits
    that nothing is said of are the answer.
    """

    secret_digits: int
    order_digits: int
    unverified: bool
    partial: bool
    asked: OpenQuestion = OpenQuestion.NONE
    known: frozenset[str] = field(default=frozenset(), repr=False)
    code_lengths: frozenset[int] = frozenset()

    @property
    def secret_lengths(self) -> frozenset[int]:
        return self.code_lengths | {self.secret_digits}


def without_secret_numbers(text: str, begun: Begun | None, situation: Situation) -> tuple[str, Begun | None]:
    """``text`` with placeholders for its secret numbers, and what the next utterance may go on with. ``begun`` is what the
    one before left."""
    out, done = [], 0
    chain, chained_from = begun, 0
    card_named = begun is not None and _names_card(begun)
    runs = list(_runs(text, begun, situation))
    for run in runs:
        if chain is not None and not _only(text[chained_from : run.start], _BEFORE_DIGITS):
            chain = None
        secret, chain = _judge(text, run, chain, situation, goes_on=run is runs[0], card_named=card_named)
        chained_from = run.end
        if secret is not None:
            out += [text[done : run.start], secret]
            done = run.end
    left = _left(text, runs, begun, chain, card_named=card_named)
    return "".join(out) + text[done:], left


def _judge(
    text: str, run: LocatedRun, chain: Begun | None, situation: Situation, *, goes_on: bool, card_named: bool
) -> tuple[str | None, Begun | None]:
    """The placeholder for ``run``, if it is secret, and the number as it stands with it. ``goes_on``: ``chain`` is from the
    utterance before. ``card_named``: that one spoke of a card."""
    digits = run.digits
    if digits in situation.known:
        return PLACEHOLDER, None
    if _ORDER_BEFORE.search(text[: run.start]):
        return None, None
    if _holds_known(digits, situation):
        return PLACEHOLDER, None
    label = label_before(text, run.start, card_named=card_named) or label_after(text, run.end)
    if label is None and len(digits) in _CVV_DIGITS and _ON_THE_BACK.match(text, run.end):
        label = Label.CVV
    named = label is not None
    if label not in _SECRET_LABELS:
        label = None
    continued, joined = False, digits
    if not named and chain is not None and (goes_on or chain.label in _SECRET_LABELS):
        alone = _only(text[run.end :], _BEHIND_DIGITS)
        continued, label = _continued(chain, digits, situation, alone=alone)
        joined = chain.digits + digits if continued else digits
    number = Begun(label, joined)
    called_so = label is not None and (named or (chain is not None and chain.label is not None))
    if situation.unverified and len(digits) in situation.secret_lengths and not called_so:
        return PLACEHOLDER, number
    if label in _SECRET_LABELS and (label is not Label.CARD or len(digits) >= _least_of_card(joined, situation)):
        return (_PLACEHOLDERS[label] if continued or len(digits) < _MASKED_DIGITS else None), number
    if situation.partial and _only(text[run.end :], frozenset()) and _may_become_secret(digits, situation):
        return _PLACEHOLDERS[None], number
    may_go_on = not named and (continued or len(digits) != situation.order_digits)
    return None, number if may_go_on else None


def _least_of_card(joined: str, situation: Situation) -> int:
    return _BEGUN_MIN if situation.partial or len(joined) > _MASKED_DIGITS else _CARD_GROUP_MIN


def _continued(chain: Begun, digits: str, situation: Situation, *, alone: bool) -> tuple[bool, Label | None]:
    """Whether ``digits`` go on with ``chain``, and what they are then called. ``alone``: nothing else is said."""
    joined = chain.digits + digits
    is_card = _is_card(joined)
    may_be_order = len(digits) == situation.order_digits and not is_card
    if chain.label is Label.PIN:
        # A whole order number goes on with the PIN at most, with no code that is not due.
        order = len(digits) == situation.order_digits
        fits = len(joined) <= (situation.secret_digits if order else max(situation.secret_lengths))
        return fits, Label.PIN if fits else None
    if chain.label is Label.CVV:
        fits = len(joined) < _CVV_DIGITS.stop
        return fits, Label.CVV if fits else None
    if may_be_order:
        return False, None
    if chain.label is Label.CARD:
        return True, Label.CVV if _is_card(chain.digits) and len(digits) in _CVV_DIGITS else Label.CARD
    if _is_pin_in_pieces(joined, situation):
        return True, Label.PIN
    least = min(_MASKED_DIGITS, situation.order_digits + 1) if alone else _MASKED_DIGITS
    long = least <= len(joined) < _CARD_DIGITS.stop and situation.asked is not OpenQuestion.PHONE
    is_card = is_card or (long and (alone or _CARD_START.match(joined) is not None))
    return True, Label.CARD if is_card else None


def _names_card(begun: Begun) -> bool:
    """A card or its code. ("The security code is" is the name of a PIN as well.)"""
    return begun.label in _CARD_LABELS or _is_card(begun.digits) or (begun.label is Label.PIN and not begun.digits)


def _is_card(digits: str) -> bool:
    return len(digits) in _CARD_DIGITS and passes_luhn(digits)


def _is_pin_in_pieces(joined: str, situation: Situation) -> bool:
    """A digit may be missing: "for five" - "nine one"."""
    most = situation.secret_digits
    if most - 1 <= len(joined) and any(joined in secret for secret in situation.known):
        return True
    number_asked = situation.asked in (OpenQuestion.ORDER_NUMBER, OpenQuestion.PHONE)
    return situation.unverified and (most if number_asked else most - 1) <= len(joined) <= most


def _may_become_secret(digits: str, situation: Situation) -> bool:
    """Of digits at the end of a partial."""
    if len(digits) < _BEGUN_MIN:
        return False
    begins_known = any(secret.startswith(digits) for secret in situation.known)
    begins_pin = situation.unverified and len(digits) < max(situation.secret_lengths)
    begins_pin = begins_pin and len(digits) != situation.order_digits
    return begins_known or begins_pin or situation.order_digits < len(digits) < _MASKED_DIGITS


def _left(
    text: str, runs: list[LocatedRun], begun: Begun | None, last: Begun | None, *, card_named: bool
) -> Begun | None:
    if runs and _only(text[runs[-1].end :], _BEHIND_DIGITS):
        return last
    label = label_before(text, len(text), card_named=card_named)
    if label in _SECRET_LABELS and _PROMISES.search(text):
        return Begun(label)
    return begun if not runs and len(_WORD.findall(text)) <= _HESITATION_WORDS else None


def _runs(text: str, begun: Begun | None, situation: Situation) -> Iterator[LocatedRun]:
    """The runs of digits, from left to right. Words that sound like digits ("for 271") are digits where they make a number a
    whole PIN, where it is called a PIN, and where a secret goes on."""
    sure = located_runs(text)
    if not sure:
        return
    secret_begun = begun is not None and begun.label in _SECRET_LABELS
    wider = [
        run
        for run in located_runs(text, lenient=True, length=situation.secret_digits)
        if not any(one.start <= run.start and run.end <= one.end for one in sure)
        and (
            _makes_pin(run, situation)
            or (secret_begun and _only(text[: run.start], _BEFORE_DIGITS))
            or label_before(text, run.start) is Label.PIN
        )
    ]
    kept = [one for one in sure if not any(run.start < one.end and one.start < run.end for run in wider)]
    yield from sorted((*kept, *wider), key=lambda run: run.start)


def _makes_pin(run: LocatedRun, situation: Situation) -> bool:
    whole = len(run.digits) == situation.secret_digits
    return whole and (situation.unverified or run.digits in situation.known)


def _holds_known(digits: str, situation: Situation) -> bool:
    """A known secret with one digit more: "the right one, and eight two …" is heard as one run."""
    return any(secret in digits and len(digits) - len(secret) <= 1 for secret in situation.known)


def _only(text: str, words: Iterable[str]) -> bool:
    """Whether ``text`` has none but these words."""
    return set(_WORD.findall(text.lower())) <= set(words)
