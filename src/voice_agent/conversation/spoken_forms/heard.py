"""What a caller said, as values: order numbers, money, dates, addresses, yes or no; and recogniser text with figures.

``heard_values`` reads; ``normalise_heard`` rewrites. Both are pure and total, and take recogniser text of any kind:
words ("eight three one oh two"), figures ("83102", "8-3-1-0-2", "83,102") or a mixture. For secrets see ``digits``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from voice_agent.conversation.spoken_forms.digits import LocatedRun, located_runs
from voice_agent.conversation.spoken_forms.english import SECRETS
from voice_agent.conversation.spoken_forms.heard_address import emails
from voice_agent.conversation.spoken_forms.heard_calendar import Found, HeardDate, Money, Reader
from voice_agent.conversation.spoken_forms.tokens import Token, tokens_of

__all__ = ["HeardDate", "HeardValues", "Money", "heard_values", "normalise_heard", "yes_or_no"]


@dataclass(frozen=True, slots=True)
class HeardValues:
    """All in spoken order.

    ``order_ids`` are identifiers ("83102", "AB-1234": letters are joined to the figures by a dash however it was said);
    a corrected one ("83102, no, 83103") is left out. ``numbers`` are all runs of digits, those of the identifiers too,
    but not those of money, dates and times. ``yes_no`` is what the whole utterance says to a yes-no question.
    """

    order_ids: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    money: tuple[Money, ...] = ()
    dates: tuple[HeardDate, ...] = ()
    emails: tuple[str, ...] = ()
    yes_no: bool | None = None


@dataclass(frozen=True, slots=True)
class _Span:
    """A value and its place; ``written`` is how ``normalise_heard`` writes it, ``None`` to leave it as it is."""

    start: int
    end: int
    value: HeardDate | Money | str
    written: str | None


def heard_values(text: str) -> HeardValues:
    spans = _spans(text)
    runs = _runs(text, spans)
    return HeardValues(
        order_ids=tuple(found.name for found in _identifiers(text, runs)),
        numbers=tuple(run.digits for run in runs),
        money=tuple(span.value for span in spans if isinstance(span.value, Money)),
        dates=tuple(span.value for span in spans if isinstance(span.value, HeardDate)),
        emails=tuple(span.value for span in spans if isinstance(span.value, str) and "@" in span.value),
        yes_no=yes_or_no(text),
    )


def normalise_heard(text: str) -> str:
    """Recogniser text with identifiers, amounts, times and addresses in figures.

    Single number words stay words ("one moment please", "two parcels"), as do quantities ("ten minutes") and dates.
    """
    spans = _spans(text)
    runs = _runs(text, spans)
    edits = [(span.start, span.end, span.written) for span in spans if span.written is not None]
    for run in runs:
        start, name = run.start, run.digits
        prefix = _prefix(text[: run.start])
        if prefix and len(run.digits) >= 2:
            start, name = prefix[1], f"{prefix[0]}-{run.digits}"
        if len(run.digits) >= 2:
            edits.append((start, run.end, name))
    pieces: list[str] = []
    done = 0
    for start, end, written in sorted(edits):
        if start >= done:
            pieces += [text[done:start], written]
            done = end
    return "".join(pieces) + text[done:]


# --- addresses, money, dates, times ------------------------------------------------------------------------------


def _spans(text: str) -> list[_Span]:
    """Everything that is not an identifier, in order, without overlaps."""
    tokens = tokens_of(text)
    reader = Reader(tokens)
    addresses = {first: (address, after) for address, first, after in emails(tokens)}
    spans: list[_Span] = []
    at = 0
    while at < len(tokens):
        if at in addresses:
            address, after = addresses[at]
            spans.append(_Span(tokens[at].start, tokens[after - 1].end, address, address))
            at = after
            continue
        found = reader.money(at) or reader.date(at) or reader.time(at)
        if found is None or (spans and tokens[found.first].start < spans[-1].end):
            at += 1
            continue
        spans.append(
            _Span(tokens[found.first].start, tokens[found.after - 1].end, found.value, _written(found, tokens))
        )
        at = max(found.after, at + 1)
    return spans


def _written(found: Found, tokens: list[Token]) -> str | None:
    value = found.value
    if isinstance(value, HeardDate):
        return None
    if isinstance(value, str):
        return value
    sign = {"USD": "$", "GBP": "£", "EUR": "€"}.get(value.currency, f"{value.currency} ")
    return f"{sign}{value.whole:,}" + (f".{value.hundredths:02}" if value.hundredths else "")


# --- identifiers -------------------------------------------------------------------------------------------------

_KEY: Final = re.compile(
    r"(?:\b(?:orders?|parcels?|packages?|tracking|reference|invoice|id|number|numbers|ord)\b|#)(?:\W|is\b|it's\b|and\b)*$",
    re.IGNORECASE,
)
_OTHER_KEY: Final = re.compile(
    r"\b(?:pin|code|passcode|password|phone|telephone|mobile|cell|zip|postcode|card|room|year|call me (?:at|on))\b"
    r"(?:\W|number\b|is\b|it's\b)*$",
    re.IGNORECASE,
)
# Letters said one by one ("A B", "A.B.") or a word that is always a prefix, before the figures.
_PREFIX: Final = re.compile(
    r"(?<![\w'’])((?:[a-z](?:[\s.,-]+|$)){1,5}|(?:ord|inv|rma|sku|trk)[\s.,-]*|[a-z]{2,4}-?$)(?:dash|hyphen|-)?[\s,]*$",
    re.IGNORECASE,
)
_NO_PREFIX: Final = frozenset("A I O PIN CODE NO NR ID IS".split())
_LEAST_DIGITS: Final = 4  # a run this long is an identifier even without "order" before it
_LEAST_KEYED_DIGITS: Final = 3
_MOST_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class _Identifier:
    name: str
    start: int
    end: int


def _runs(text: str, spans: list[_Span]) -> list[LocatedRun]:
    """Runs of digits outside ``spans``, which are overwritten by a word that breaks runs."""
    for span in spans:
        text = text[: span.start] + "x" * (span.end - span.start) + text[span.end :]
    return located_runs(text)


def _prefix(before: str) -> tuple[str, int] | None:
    """(letters, where they start) directly before a run."""
    found = _PREFIX.search(before[-24:])
    if found is None:
        return None
    letters = re.sub(r"[^A-Za-z]", "", found.group(1)).upper()
    if letters in _NO_PREFIX:
        return None
    return letters, len(before) - len(before[-24:]) + found.start()


def _identifiers(text: str, runs: list[LocatedRun]) -> list[_Identifier]:
    found: list[_Identifier] = []
    for run in runs:
        prefix = _prefix(text[: run.start])
        start = prefix[1] if prefix else run.start
        before = text[max(0, start - 60) : start]
        if len(run.digits) > _MOST_DIGITS or _OTHER_KEY.search(before):
            continue
        least = 2 if prefix else _LEAST_KEYED_DIGITS if _KEY.search(before) else _LEAST_DIGITS
        if len(run.digits) < least:
            continue
        if found and _is_correction(text[found[-1].end : start]):
            found.pop()
        found.append(_Identifier(f"{prefix[0]}-{run.digits}" if prefix else run.digits, start, run.end))
    return found


def _is_correction(between: str) -> bool:
    """Whether nothing but a correction stands between two identifiers ("no, sorry, I mean order …")."""
    words = [token.word for token in tokens_of(between) if not token.is_mark]
    known = SECRETS.corrections | SECRETS.fillers | SECRETS.introductions | {"order", "not", "should"}
    return any(word in SECRETS.corrections for word in words) and all(word in known for word in words)


# --- yes or no -----------------------------------------------------------------------------------------------------

_NO: Final = re.compile(
    r"^(?:no|nope|nah|negative|never|not (?:really|yet|now|at all|today|quite|that|this|correct|right)|don't|do not|"
    r"incorrect|wrong|that's (?:not|wrong|incorrect)|that is (?:not|wrong|incorrect)|it's not|it isn't|it is not|that isn't|"
    r"i don't|i do not|i'd rather not|i would not|i wouldn't|i didn't|i did not|none|neither|please don't)\b"
)
_NEITHER: Final = re.compile(
    r"^(?:no (?:idea|one|problem|worries|clue|matter)|not sure|i(?:'m| am) not sure|"
    r"i (?:don't|do not) (?:know|understand|care|remember))\b"
)
_YES: Final = re.compile(
    r"^(?:yes|yeah|yep|yup|yea|aye|affirmative|absolutely|definitely|certainly|of course|by all means|indeed|"
    r"that's (?:right|correct|it|fine|true|me|the one)|that is (?:right|correct|fine|true|me)|it is|i do|i did|i am|"
    r"i would|i'd (?:like|love) (?:that|to)|i think so|go ahead|please do|yes please|sounds good|"
    r"exactly|correct|uh-huh|mm-hmm|mhm)\b"
)
_WEAK_YES: Final = re.compile(r"^(?:ok|okay|sure|right|fine|good|great|perfect|alright|all right|please|why not)\b")
_WEAK_YES_WORDS: Final = 4  # "okay, so where is my order" agrees to nothing
_OPENERS: Final = re.compile(
    r"^(?:(?:um+|uh+|er+m?|hmm*|well|oh|ah|so|and|but|like|actually|sorry|hi|hello)\b[\s,.!-]*)+"
)


def yes_or_no(text: str) -> bool | None:
    """What an answer to a yes-no question says; ``None`` if it is no such answer."""
    plain = re.sub(r"\s+", " ", text.lower().replace("’", "'")).strip(" .,!?-")
    plain = _OPENERS.sub("", plain)
    if not plain or _NEITHER.match(plain):
        return None
    if _NO.match(plain):
        return False
    if _YES.match(plain):
        return not re.match(r"^(?:yes|yeah|yep)[\s,]+(?:but )?no\b", plain)
    if _WEAK_YES.match(plain) and len(plain.split()) <= _WEAK_YES_WORDS:
        return True
    return None
