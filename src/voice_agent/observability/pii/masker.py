"""One call's masking: the same value gets the same placeholder all through the call.

The first telephone number of a call is ``[PHONE]``, another one ``[PHONE 2]``, and the first said once more is ``[PHONE]``
again, however it is written or spoken. PINs and CVVs are not told apart: which tries were equal is nobody's business.

Numbers depend on nothing but the order of what was masked, so a replay of the masked events meets the same placeholders.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from hashlib import blake2b
from typing import Any

from voice_agent.conversation.spoken_forms.postal_address import postal_address
from voice_agent.observability.pii.kinds import PiiKind, PiiSpan
from voice_agent.observability.pii.masking import mask_any, replaced
from voice_agent.observability.pii.phone import significant

_SECRET = frozenset({PiiKind.PIN, PiiKind.CVV})
_REVEALED = frozenset({PiiKind.PHONE, PiiKind.EMAIL, PiiKind.ADDRESS, PiiKind.BIRTHDAY})
_PLACEHOLDER = re.compile(r"(\[[A-Z_ ]{2,20}(?: \d{1,4})?\])(?:\.(street|extra|city|region|postal_code)\b)?")
_NUMBER_MAX = 9999  # as far as a placeholder is known for one


class Masker:
    """Masks the texts of one call, on its event loop. Its repr shows no values.

    What a tool may need (telephone, e-mail, address, date of birth) can be had back by its placeholder until ``close``;
    of everything else only a keyed digest is kept.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._numbers: defaultdict[PiiKind, dict[bytes, int]] = defaultdict(dict)
        self._values: dict[str, str] = {}

    def __repr__(self) -> str:
        return "Masker(…)"

    def mask(self, text: str, *, draft: bool = False) -> str:
        """``text`` with numbered placeholders; idempotent. A ``draft`` (a partial transcript, whose half-said numbers will
        not come again) gets the same placeholders and leaves no trace."""
        if not draft:
            return replaced(text, self._placeholder)
        held = {kind: len(numbers) for kind, numbers in self._numbers.items()}
        values = dict(self._values)
        masked = replaced(text, self._placeholder)
        for kind, numbers in self._numbers.items():
            while len(numbers) > held.get(kind, 0):
                numbers.popitem()
        self._values = values
        return masked

    def mask_any(self, value: Any, *, skip: frozenset[str] = frozenset(), draft: bool = False) -> Any:
        """As ``masking.mask_any``, with this call's placeholders."""
        return mask_any(value, skip=skip, mask=lambda text: self.mask(text, draft=draft))

    def reveal(self, placeholder: str) -> str | None:
        """What ``placeholder`` stands for, for a tool that this call's caller may use; None where it is not kept."""
        return self._values.get(placeholder)

    def reveal_all(self, text: str) -> str:
        """``text`` with what its placeholders stand for, where that is kept: for a tool's arguments, and for the caller's
        own ear. Never for anything that is written down. "[ADDRESS].city" is a part of an address, and nothing where the
        address has no such part or cannot be read with certainty."""
        if not self._values or "[" not in text:
            return text
        return _PLACEHOLDER.sub(self._revealed, text)

    def _revealed(self, found: re.Match[str]) -> str:
        value = self._values.get(found[1])
        if value is None:
            return found[0]
        if not found[1].startswith("[ADDRESS"):
            return value + found[0].removeprefix(found[1])
        address = postal_address(value) if found[2] else None
        return value if not found[2] else str(getattr(address, found[2], ""))

    def close(self) -> None:
        """Forgets everything: the call is over."""
        self._numbers.clear()
        self._values.clear()

    def _placeholder(self, span: PiiSpan) -> str:
        kind = span.kind
        if kind in _SECRET:
            return kind.placeholder
        same = significant(span.value) if kind is PiiKind.PHONE else span.value
        digest = blake2b(same.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()
        numbers = self._numbers[kind]
        number = numbers.setdefault(digest, len(numbers) + 1)
        placeholder = kind.placeholder if number == 1 or number > _NUMBER_MAX else f"[{kind.value} {number}]"
        if kind in _REVEALED:
            self._values.setdefault(placeholder, span.said or span.value)
        return placeholder
