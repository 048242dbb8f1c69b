"""E-mail addresses in heard or written English: "jane dot doe at example dot com" is jane.doe@example.com."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voice_agent.conversation.spoken_forms.english import NUMBERS
from voice_agent.conversation.spoken_forms.tokens import Token

_CONNECTORS: Final = {"dot": ".", "underscore": "_", "dash": "-", "hyphen": "-", "minus": "-", "plus": "+"}
_WRITTEN_CONNECTORS: Final = frozenset("._-+")
# "look at example dot com" is a site to look at.
_NO_MAILBOX: Final = frozenset(
    "look is am are us me be arrive find here it site website visit you shop online order out up in back there and or "
    "email e-mail mail address page that was check".split()
)


def emails(tokens: Sequence[Token]) -> list[tuple[str, int, int]]:
    """(address in lower case, first token, index after the last) of each."""
    found: list[tuple[str, int, int]] = []
    floor = 0
    for at, token in enumerate(tokens):
        if token.word not in ("at", "@"):
            continue
        domain = _domain(tokens, at + 1)
        mailbox = _mailbox(tokens, at - 1, floor)
        if domain and mailbox and (token.word == "@" or mailbox[0] not in _NO_MAILBOX):
            found.append((f"{mailbox[0]}@{domain[0]}", mailbox[1], domain[1]))
            floor = domain[1]
    return found


def _glued(tokens: Sequence[Token], at: int) -> bool:
    return 0 < at < len(tokens) and tokens[at - 1].end == tokens[at].start


def _figure(tokens: Sequence[Token], at: int) -> str:
    """What one token adds to an address: letters as they are, number words as figures; empty for marks."""
    word = tokens[at].word
    if tokens[at].is_mark:
        return ""
    if word in NUMBERS.digits and word != "o":
        return str(NUMBERS.digits[word])
    value = NUMBERS.teens.get(word, NUMBERS.tens.get(word))
    return str(value) if value is not None else word.replace("'", "")


def _domain(tokens: Sequence[Token], at: int) -> tuple[str, int] | None:
    """Labels with dots between, the last of letters only."""
    labels = [""]
    while at < len(tokens):
        word = tokens[at].word
        written = word in (".", "-") and _glued(tokens, at) and _glued(tokens, at + 1)
        if labels[-1] and (word == "dot" or (word == "." and written)):
            spelled = word == "." and len(labels[-1]) == 1 and at + 1 < len(tokens) and len(tokens[at + 1].word) == 1
            if not spelled:  # "U.K." is one label
                labels.append("")
            at += 1
        elif labels[-1] and (word in ("dash", "hyphen") or (word == "-" and written)):
            labels[-1] += "-"
            at += 1
        elif not tokens[at].is_mark and (
            not labels[-1] or labels[-1].endswith("-") or _continues(tokens, at, labels[-1])
        ):
            labels[-1] += _figure(tokens, at)
            at += 1
        else:
            break
    if not labels[-1]:
        labels.pop()
    good = len(labels) >= 2 and labels[-1].isalpha() and len(labels[-1]) >= 2 and labels[-1].isascii()
    return (".".join(labels), at) if good else None


def _continues(tokens: Sequence[Token], at: int, label: str) -> bool:
    """Letters spelled one by one, and what is written without a space, are one label ("g mail")."""
    return _glued(tokens, at) or len(label) == 1 or (len(tokens[at - 1].word) == 1 and len(tokens[at].word) == 1)


def _mailbox(tokens: Sequence[Token], at: int, floor: int) -> tuple[str, int] | None:
    """Read backwards from the "at": parts joined by connectors, spelled letters and figures joined to what precedes."""
    text = ""
    first = at + 1
    while at >= floor:
        word = tokens[at].word
        if text and not text.startswith(tuple(_WRITTEN_CONNECTORS)):
            if word in _CONNECTORS or (word in _WRITTEN_CONNECTORS and _glued(tokens, at + 1) and _glued(tokens, at)):
                text = _CONNECTORS.get(word, word) + text
                at -= 1
                continue
            if not (_glued(tokens, at + 1) or _spelled(tokens, at, text)):
                break
        figure = _figure(tokens, at)
        if not figure:
            break
        if word in NUMBERS.tens and text[:1].isdecimal() and text[0] != "0" and not text[1:2].isdecimal():
            figure = figure[0]  # "eighty four" is 84
        text = figure + text
        first = at
        at -= 1
    text = text.lstrip("".join(_WRITTEN_CONNECTORS))
    return (text, first) if text and text.isascii() else None


def _spelled(tokens: Sequence[Token], at: int, text: str) -> bool:
    """Whether the token before ``text`` belongs to it: letters spelled out, or figures after a word."""
    figure = _figure(tokens, at)
    if not figure:
        return False
    if figure.isdecimal():
        return text[0].isdecimal() or len(tokens[at + 1].word) == 1
    if text[0].isdecimal():
        return True
    if len(figure) > 1 or len(tokens[at + 1].word) > 1:
        return False
    return figure not in ("a", "i") or (at > 0 and len(tokens[at - 1].word) == 1)  # "I" and "a" are words, too
