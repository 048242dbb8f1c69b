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


def read_slots(slots: Mapping[str, SlotEntry], turns: Sequence[str]) -> dict[str, Any]:
    """What ``turns`` (newest first) tell: a value's name, or the parts of an address. What was not said is not there."""
    found: dict[str, Any] = {}
    for name, slot in slots.items():
        values = (read_slot(slot, text) for text in turns)
        value = next((value for value in values if value), None)
        if value:
            found[name] = value
    return found


def read_slot(slot: SlotEntry, text: str) -> Any:
    """What one turn tells; ``None`` where it tells nothing."""
    if slot.reads == "address":
        return _address(text)
    lowered = text.lower().replace("’", "'")
    return next((value for value, pattern in slot.values.items() if re.search(pattern, lowered)), None)


def _address(text: str) -> dict[str, str] | None:
    masked = _MASKED_ADDRESS.findall(text)
    if masked:  # the last one counts: "not to …, but to …"
        return {part: f"{masked[-1]}.{part}" for part in _ADDRESS_PARTS}
    address = postal_address(text)
    return {part: getattr(address, part) for part in _ADDRESS_PARTS} if address else None
