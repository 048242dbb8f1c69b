"""Details that a tool needs beside the order, out of what the caller has said for one request: see ``slots`` in the brain
file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from voice_agent.conversation.spoken_forms.postal_address import postal_address
from voice_agent.providers.llm.builtin.brain_file import SlotEntry

# A caller's address reaches a language model as a placeholder, whose parts can be named (docs/tools.md).
_MASKED_ADDRESS = re.compile(r"\[ADDRESS(?: \d+)?\]")
_ADDRESS_PARTS = ("street", "extra", "city", "region", "postal_code")


class SlotReader:
    """Reads ``slots``. ``negation`` is a pattern for the parts of a lower-case turn that say what is not so."""

    def __init__(self, slots: Mapping[str, SlotEntry], negation: str) -> None:
        self._slots = slots
        self._negation = re.compile(negation)

    def read(self, turns: Sequence[str]) -> dict[str, Any]:
        """What ``turns`` (newest first) tell: a value's name, or the parts of an address. What was not said is not there,
        nor what a later turn denies ("it's not broken") without telling anything else."""
        found: dict[str, Any] = {}
        for name in self._slots:
            value = next((self.value(name, text) for text in turns if self.speaks_of(name, text)), None)
            if value:
                found[name] = value
        return found

    def value(self, name: str, text: str) -> Any:
        """What one turn tells for a slot; ``None`` where it tells nothing."""
        slot = self._slots[name]
        if slot.reads == "address":
            return _address(text)
        said = _lowered(text)
        told = self._negation.sub(" ", said)
        for value in {**slot.values, **slot.as_said}:
            plain, as_said = slot.values.get(value), slot.as_said.get(value)
            if (plain and re.search(plain, told)) or (as_said and re.search(as_said, said)):
                return value
        return None

    def speaks_of(self, name: str, text: str) -> bool:
        """Whether a turn tells a slot, or denies one of its values."""
        said = _lowered(text)
        denied = any(re.search(pattern, said) for pattern in self._slots[name].values.values())
        return denied or bool(self.value(name, text))


def _lowered(text: str) -> str:
    return text.lower().replace("’", "'")


def _address(text: str) -> dict[str, str] | None:
    masked = _MASKED_ADDRESS.findall(text)
    if masked:  # the last one counts: "not to …, but to …"
        return {part: f"{masked[-1]}.{part}" for part in _ADDRESS_PARTS}
    address = postal_address(text)
    return {part: getattr(address, part) for part in _ADDRESS_PARTS} if address else None
