"""The parts of a postal address of the United States, as a caller says it or a recogniser writes it.

"fourteen birch lane madison wisconsin five three seven oh three" has the street "14 Birch Lane". An address is read as a
whole or not at all: where a part is missing, or it is not certain where the street ends, there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from voice_agent.conversation.spoken_forms.digits import located_runs
from voice_agent.conversation.spoken_forms.english import NUMBERS
from voice_agent.conversation.spoken_forms.numbers import read_number
from voice_agent.conversation.spoken_forms.tokens import tokens_of

_ZIP_DIGITS: Final = 5
_ZIP_PLUS_4_DIGITS: Final = 9
_STATES: Final = (
    "alabama alaska arizona arkansas california colorado connecticut delaware florida georgia hawaii idaho illinois "
    "indiana iowa kansas kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri montana "
    "nebraska nevada new_hampshire new_jersey new_mexico new_york north_carolina north_dakota ohio oklahoma oregon "
    "pennsylvania rhode_island south_carolina south_dakota tennessee texas utah vermont virginia washington west_virginia "
    "wisconsin wyoming district_of_columbia "
    "al ak az ar ca co ct de fl ga hi id il in ia ks ky la me md ma mi mn ms mo mt ne nv nh nj nm ny nc nd oh ok or pa ri "
    "sc sd tn tx ut vt va wa wv wi wy dc d.c."
).split()
_STATE = re.compile(
    rf"(?<![\w.])({'|'.join(re.escape(s).replace('_', r'[ ]') for s in sorted(_STATES, key=len, reverse=True))})$",
    re.IGNORECASE,
)
_ZIP_WORDS = re.compile(
    r"[\s,.]*(?:\band\b )?(?:\b(?:the|with) )*\b(?:zip|postal|post) ?(?:code)?(?: is)?$", re.IGNORECASE
)
_STREET_KINDS: Final = frozenset(
    "street avenue ave road rd boulevard blvd lane ln drive dr court ct place pl square terrace crescent parkway highway "
    "circle way row trail loop alley plaza".split()
)
_UNIT = re.compile(r",? ?\b((?:apartment|apt\.?|unit|suite|floor|room) (?:number )?[\w-]+)$", re.IGNORECASE)
_UNIT_WORDS: Final = frozenset("apartment apt unit suite floor room".split())
_JOINTS = re.compile(r"\s*,\s*|\s+in\s+")
_EDGES: Final = " ,.;:-"


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """``extra`` is an apartment or the like; ``region`` the state as it was said. Only ``extra`` may be empty."""

    street: str
    extra: str
    city: str
    region: str
    postal_code: str


def postal_address(text: str) -> PostalAddress | None:
    """The parts of ``text``, which is an address and nothing else."""
    postal_code, rest = _postal_code(" ".join(text.split()))
    state = _STATE.search(rest)
    if not postal_code or state is None:
        return None
    street, extra, city = _places(rest[: state.start()].strip(_EDGES))
    street = _with_figures(street)
    if not city or any(char.isdigit() for char in city) or not re.match(r"\d\S* \S", street):
        return None
    named = _written if text == text.lower() else str
    region = state[1].upper() if len(state[1].replace(".", "")) == 2 else named(state[1])
    return PostalAddress(named(street), extra, named(city), region, postal_code)


def _postal_code(text: str) -> tuple[str, str]:
    """The ZIP code at the end, and what stands before it."""
    runs = located_runs(text)
    if not runs or text[runs[-1].end :].strip(_EDGES):
        return "", text
    digits, before = runs[-1].digits, text[: runs[-1].start].strip(_EDGES)
    before = _ZIP_WORDS.sub("", before).strip(_EDGES)
    if len(digits) == _ZIP_PLUS_4_DIGITS:
        return f"{digits[:_ZIP_DIGITS]}-{digits[_ZIP_DIGITS:]}", before
    return (digits if len(digits) == _ZIP_DIGITS else ""), before


def _places(text: str) -> tuple[str, str, str]:
    """Street, apartment and city; empty where they cannot be told apart."""
    parts = [part for part in _JOINTS.split(text) if part]
    if len(parts) > 1 and len(_with_figures(parts[0]).split()) == 1:  # "14, Birch Lane"
        parts[:2] = [f"{parts[0]} {parts[1]}"]
    if len(parts) == 1:
        parts = _street_and_rest(parts[0])
    if len(parts) < 2:
        return "", "", ""
    street, *extras, city = parts
    if unit := _UNIT.search(street):
        street, extras = street[: unit.start()], [unit[1], *extras]
    return street, ", ".join(extras), city


def _street_and_rest(text: str) -> list[str]:
    """Without commas a street ends at its kind ("lane"), and an apartment after the word behind its own."""
    words = text.split()
    for at in range(2, len(words)):
        if words[at].lower().strip(".") not in _STREET_KINDS:
            continue
        end = at + 1
        while end < len(words) and words[end].lower().strip(".") in _STREET_KINDS:
            end += 1
        unit_end = end + 2 if words[end : end + 1] and words[end].lower().strip(".") in _UNIT_WORDS else end
        return [part for part in (" ".join(words[:unit_end]), " ".join(words[unit_end:])) if part]
    return []


def _with_figures(street: str) -> str:
    """The house number in figures: "two thirty west main" is 230 West Main."""
    tokens = tokens_of(street)
    digits, at = "", 0
    while at < len(tokens) and (reading := read_number(tokens, at, NUMBERS)) is not None:
        digits += reading.digits
        at = reading.after
    return f"{digits} {street[tokens[at].start :]}" if digits and at < len(tokens) else street


def _written(name: str) -> str:
    return " ".join(word.capitalize() for word in name.split())
