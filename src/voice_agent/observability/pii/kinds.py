"""The kinds of personal data and where in a text they were found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum


class PiiKind(StrEnum):
    """Kinds of personal data, named as their placeholders."""

    CARD = "CARD"
    CVV = "CVV"
    SSN = "SSN"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    IBAN = "IBAN"
    PIN = "PIN"
    ADDRESS = "ADDRESS"
    BIRTHDAY = "BIRTHDAY"
    NUMBER = "NUMBER"

    @property
    def placeholder(self) -> str:
        return f"[{self.value}]"


PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(PiiKind)})(?: [1-9]\d{{0,3}})?\]")
"""A placeholder, numbered or not. No rule may find anything in it."""


@dataclass(frozen=True, slots=True)
class PiiSpan:
    """``text[start:end]`` is personal data. ``value`` is the same for every way to say it (digits without separators, a
    spoken address in writing); ``said`` are the words themselves where a tool needs those. Neither is in a repr."""

    kind: PiiKind
    start: int
    end: int
    value: str = field(default="", compare=False, repr=False)
    said: str = field(default="", compare=False, repr=False)
