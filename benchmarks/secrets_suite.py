"""Secrets said in every way a caller may say them, and every place where they must not be.

Real sessions, machine, vault, masking and event log by text (``evaluation/text_call.py``): PINs, cards and security
codes, asked for and unasked, in words, figures, pairs, with corrections and hesitations, split over turns and keys.
Then each sink (every record of the log as it is written, all that the model was shown, the tools' arguments, the
process log) is read with the words of numbers turned into figures, and searched.

    .venv/bin/python benchmarks/secrets_suite.py --calls 1000
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass

import orjson

from voice_agent.clock import LoopClock
from voice_agent.config import ToolSettings
from voice_agent.conversation.codec import encode
from voice_agent.evaluation.adversary.model import ScriptedModel
from voice_agent.evaluation.text_call import TextCall
from voice_agent.models import Meaning, MeaningScore, SecretOutcome
from voice_agent.observability.logging import configure_logging
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.transfer import transfer_tool

_DIGITS = "zero one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


# Ways to say digits


def one_by_one(digits: str) -> str:
    return " ".join(_DIGITS[int(d)] for d in digits)


def with_oh(digits: str) -> str:
    return " ".join("oh" if d == "0" else _DIGITS[int(d)] for d in digits)


def pair(two: str) -> str:
    if len(two) == 1:
        return _DIGITS[int(two)]
    if two[0] == "0":
        return f"oh {_DIGITS[int(two[1])]}"
    if two[0] == "1":
        return _TEENS[int(two[1])]
    return _TENS[int(two[0])] + (f" {_DIGITS[int(two[1])]}" if two[1] != "0" else "")


def in_pairs(digits: str) -> str:
    return " ".join(pair(digits[at : at + 2]) for at in range(0, len(digits), 2))


def hyphened_pairs(digits: str) -> str:
    return " ".join(pair(digits[at : at + 2]).replace(" ", "-") for at in range(0, len(digits), 2))


def figures(digits: str) -> str:
    return digits


def spaced(digits: str) -> str:
    return " ".join(digits)


def dashed(digits: str) -> str:
    return "-".join(digits[at : at + 4] for at in range(0, len(digits), 4)) if len(digits) > 4 else "-".join(digits)


def hesitant(digits: str) -> str:
    words = [_DIGITS[int(d)] for d in digits]
    return ", um, ".join((" ".join(words[:2]), " uh ".join(words[2:])))


def with_commas(digits: str) -> str:
    return ", ".join(_DIGITS[int(d)] for d in digits)


def doubled(digits: str) -> str:
    said, at = [], 0
    while at < len(digits):
        run = len(digits[at:]) - len(digits[at:].lstrip(digits[at]))
        take = min(run, 3)
        said.append(("", "double ", "triple ")[take - 1] + _DIGITS[int(digits[at])])
        at += take
    return " ".join(said)


def mixed(digits: str) -> str:
    half = len(digits) // 2
    return f"{digits[:half]} {one_by_one(digits[half:])}"


WAYS = (one_by_one, with_oh, in_pairs, hyphened_pairs, figures, spaced, dashed, hesitant, with_commas, doubled, mixed)

# Ways to place them. {pin}, {card} and {cvv} are said in one of the ways above; [keys] are pressed.

PLACES = (
    ("asked", ("where is my parcel", "{pin}")),
    ("asked, in a sentence", ("where is my parcel", "sure, it's {pin}, thanks")),
    ("asked, with the word", ("where is my parcel", "my pin is {pin}")),
    ("asked, corrected", ("where is my parcel", "nine nine, no sorry, {pin}")),
    ("asked, twice", ("where is my parcel", "{pin}", "{pin}")),
    ("asked, wrong first", ("where is my parcel", "nine eight nine eight", "{pin}")),
    ("asked, split", ("where is my parcel", "{pin:0:2}", "{pin:2:4}")),
    ("asked, split unevenly", ("where is my parcel", "{pin:0:3}", "{pin:3:4}")),
    ("asked, keyed", ("where is my parcel", "[pin]")),
    ("asked, half keyed", ("where is my parcel", "[pin:0:2]", "{pin:2:4}")),
    ("asked, half said", ("where is my parcel", "{pin:0:2}", "[pin:2:4]")),
    ("unasked, with the word", ("hello my pin is {pin} and I would like to know where my parcel is",)),
    ("unasked, with code", ("the code is {pin} please check my order",)),
    ("unasked, password", ("my password is {pin} can you help",)),
    ("unasked, alone", ("{pin}",)),
    ("unasked, as digits first", ("{pin} is my pin and where is my parcel",)),
    ("unasked, then asked", ("my pin is {pin} where is my parcel", "{pin}")),
    ("after it was right", ("where is my parcel", "{pin}", "was {pin} right")),
    ("after it was right, in words", ("where is my parcel", "{pin}", "I said my pin, {pin}, didn't I")),
    ("beside an order number", ("where is my order 83102", "{pin}", "so order 83102 with pin {pin}")),
    ("card, unasked", ("my card number is {card} can I pay with it",)),
    ("card, alone", ("{card}",)),
    ("card, in the middle", ("you charged {card} twice last week",)),
    ("card while the PIN is asked", ("where is my parcel", "{card}")),
    ("card and code", ("it's {card} and the security code is {cvv}",)),
    ("code after the card", ("my card is {card}", "the cvv is {cvv}")),
    ("code alone", ("the three digits on the back are {cvv}",)),
    ("cvc", ("cvc {cvv}",)),
)


@dataclass(frozen=True)
class Secrets:
    pin: str
    card: str
    cvv: str


def draw(chance: random.Random) -> Secrets:
    body = "4" + "".join(chance.choice("0123456789") for _ in range(14))
    pin = "".join(chance.choice("0123456789") for _ in range(4))
    return Secrets(pin, body + luhn_digit(body), "".join(chance.choice("0123456789") for _ in range(3)))


def luhn_digit(body: str) -> str:
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def said(line: str, secrets: Secrets, way: object) -> str:
    def put(found: re.Match[str]) -> str:
        digits = getattr(secrets, found[1])
        if found[2]:
            digits = digits[int(found[2]) : int(found[3])]
        return way(digits)  # type: ignore[operator]

    return re.sub(r"\{(\w+)(?::(\d):(\d))?\}", put, line)


class AsksForIdentity:
    """Whatever is asked about a parcel or an order needs a PIN."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def meanings(self, text: str, *, locale: str) -> tuple[MeaningScore, ...]:
        wanted = Meaning.NEEDS_IDENTITY if re.search("parcel|order", text) else Meaning.NONE
        return (MeaningScore(wanted, 0.9, accepted=wanted is not Meaning.NONE),)


class OnePin:
    def __init__(self, pin: str) -> None:
        self._pin = pin

    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        return (SecretOutcome.VERIFIED, 3) if pin == self._pin else (SecretOutcome.WRONG, 2)


# Looking


_VALUES = {word: str(n) for n, word in enumerate(_DIGITS)} | {"oh": "0", "o": "0"}
_VALUES |= {word: str(n) for n, word in enumerate(_TEENS, 10)}
_ROUND = {word: str(n) for n, word in enumerate(_TENS) if n > 1}


def as_figures(text: str) -> str:
    """``text`` with number words as figures and nothing but letters and figures, so that no spelling hides a secret. An
    independent reading: none of the product's code."""
    tokens = re.findall(r"[a-z]+|\d", text.lower())
    out: list[str] = []
    times = 1
    for at, token in enumerate(tokens):
        if token in ("double", "triple"):
            times = 2 if token == "double" else 3
            continue
        if token in _ROUND:
            follows = tokens[at + 1] if at + 1 < len(tokens) else ""
            unit = _VALUES.get(follows, "")
            out.append(_ROUND[token] + ("" if len(unit) == 1 and unit != "0" else "0"))
            times = 1
            continue
        figures_said = token if token.isdigit() else _VALUES.get(token)
        out.append(figures_said * times if figures_said is not None else "" if token in ("um", "uh") else "|")
        times = 1
    return "".join(out)


def leaks(text: str, secrets: Secrets, place: str) -> list[str]:
    """Which secrets are in ``text``; a security code counts only where one was said, and only as a number of its own."""
    read = as_figures(text)
    found = [name for name in ("pin", "card") if getattr(secrets, name) in read and f"{name}" in place_kind(place)]
    if "card" in place_kind(place) and secrets.card[:12] in read:
        found.append("most of the card")
    if "cvv" in place_kind(place) and re.search(rf"(?<!\d){secrets.cvv}(?!\d)", read):
        found.append("cvv")
    return found


def place_kind(place: str) -> str:
    lines = " ".join(next(lines for name, lines in PLACES if name == place))
    return " ".join(kind for kind in ("pin", "card", "cvv") if f"{{{kind}" in lines or f"[{kind}" in lines)


async def place_call(
    place: str, lines: tuple[str, ...], way: object, secrets: Secrets, number: int, room: asyncio.Semaphore
) -> list[str]:
    """Plays one call; what was found, and where."""
    clock = LoopClock()
    model = ScriptedModel((), "All right.")
    tools = ToolRegistry(transfer_tool())
    router = ToolRouter(tools, ToolSettings(), clock)
    call = TextCall(
        model, AsksForIdentity(), tools, router, OnePin(secrets.pin), clock, caller_id="caller-x", call_id=f"c{number}"
    )
    async with room, call:
        for line in lines:
            if keys := re.fullmatch(r"\[pin(?::(\d):(\d))?\]", line):
                await call.press(secrets.pin[int(keys[1] or 0) : int(keys[2] or 4)])
            else:
                await call.say(said(line, secrets, way))
    found = []
    for record in call.log:
        for text in _strings(encode(record.entry)):
            found += [f"log {record.entry.name}: {what}" for what in leaks(text, secrets, place)]
    for text in model.shown:
        found += [f"model: {what}" for what in leaks(text, secrets, place)]
    return found


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [s for key, inner in value.items() if key not in ("call_id", "wall") for s in _strings(inner)]
    return [s for inner in value for s in _strings(inner)] if isinstance(value, list) else []


async def run(calls: int, seed: int, at_once: int) -> tuple[Counter[str], list[str]]:
    """Plays ``calls`` calls; what was found, counted, and some examples without the secrets."""
    chance = random.Random(seed)
    room = asyncio.Semaphore(at_once)
    plays, labels = [], []
    for number in range(calls):
        place, lines = PLACES[number % len(PLACES)]
        way = WAYS[number // len(PLACES) % len(WAYS)]
        secrets = draw(chance)
        plays.append(place_call(place, lines, way, secrets, number, room))
        labels.append(f"{place} / {way.__name__}")
    counted, examples = Counter[str](), []
    for at, found in enumerate(await asyncio.gather(*plays)):
        for what in dict.fromkeys(found):
            counted[what] += 1
            examples.append(f"{labels[at]}: {what}")
    return counted, examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=60)
    options = parser.parse_args()
    written = io.StringIO()
    pipeline = configure_logging("DEBUG", "json", written)
    try:
        counted, examples = asyncio.run(run(options.calls, options.seed, options.at_once))
    finally:
        pipeline.stop()
    lines = written.getvalue().splitlines()
    assert all(orjson.loads(line) for line in lines)
    print(f"{options.calls} calls, {len(PLACES)} places x {len(WAYS)} ways; {len(lines)} lines of process log")
    for example in examples[:60]:
        print("  ", example)
    print(f"hits: {sum(counted.values())} {dict(counted)}")
    sys.exit(1 if counted else 0)


if __name__ == "__main__":
    main()
