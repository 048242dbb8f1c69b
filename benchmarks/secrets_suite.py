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
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from voice_agent.clock import LoopClock
from voice_agent.config import ToolSettings
from voice_agent.conversation.codec import encode
from voice_agent.conversation.commands import CommitTurn
from voice_agent.evaluation.adversary.leaks import leaks, speech_only, strings_in
from voice_agent.evaluation.adversary.model import ScriptedModel
from voice_agent.evaluation.adversary.secrets import WAYS, Secrets, draw, filled, kinds_in
from voice_agent.evaluation.text_call import TextCall
from voice_agent.models import Meaning, MeaningScore, SecretOutcome
from voice_agent.observability.logging import configure_logging
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.transfer import transfer_tool

# Ways to place them. {pin}, {card} and {cvv} are said in one of ``secrets.WAYS``; [keys] are pressed.

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
    ("unasked, split", ("my pin is {pin:0:2}", "{pin:2:4}")),
    ("unasked, label first", ("my pin is", "{pin}")),
    ("after it was right, split", ("where is my parcel", "{pin}", "{pin:0:2}", "{pin:2:4}")),
    ("card, split", ("my card is {card:0:4}", "{card:4:8}", "{card:8:12}", "{card:12:16}")),
    ("card, split, no label", ("{card:0:4}", "{card:4:10}", "{card:10:16}")),
    ("card, split, verified", ("where is my parcel", "{pin}", "my card is {card:0:4}", "{card:4:8}", "{card:8:16}")),
    (
        "card, split, verified, no label",
        ("where is my parcel", "{pin}", "{card:0:4}", "and {card:4:10}", "{card:10:16}"),
    ),
    ("card, begun", ("my credit card is {card:0:6}",)),
    ("code, label first", ("the security code is", "{cvv}")),
    ("code on the back, label first", ("the three digits on the back are", "{cvv}")),
    ("card, then the code alone", ("my card is {card}", "and {cvv} on the back")),
)


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


@dataclass(frozen=True)
class Case:
    """One call: ``lines`` are said in ``way``."""

    number: int
    place: str
    lines: tuple[str, ...]
    way: str
    secrets: Secrets

    @property
    def call_id(self) -> str:
        return f"c{self.number}"

    def leaks(self, text: str) -> list[str]:
        return leaks(text, self.secrets, kinds_in(" ".join(self.lines)))


async def place_call(case: Case, room: asyncio.Semaphore) -> list[str]:
    """Plays one call; what was found, and where. What the caller said in several turns is also read as one text."""
    clock = LoopClock()
    model = ScriptedModel((), "All right.")
    tools = ToolRegistry(transfer_tool())
    router = ToolRouter(tools, ToolSettings(), clock)
    pins = OnePin(case.secrets.pin)
    call = TextCall(model, AsksForIdentity(), tools, router, pins, clock, caller_id="caller-x", call_id=case.call_id)
    async with room, call:
        for line in case.lines:
            if keys := re.fullmatch(r"\[pin(?::(\d):(\d))?\]", line):
                await call.press(case.secrets.pin[int(keys[1] or 0) : int(keys[2] or 4)])
            else:
                await call.say(filled(line, case.secrets, WAYS[case.way]))
    found = []
    for record in call.log:
        for text in strings_in(encode(record.entry)):
            found += [f"log {record.entry.name}: {what}" for what in case.leaks(text)]
    turns = " ".join(record.entry.text for record in call.log if isinstance(record.entry, CommitTurn))
    found += [f"turns together: {what}" for what in case.leaks(turns)]
    for text in model.shown:
        found += [f"model: {what}" for what in case.leaks(text)]
    return found


def cases(calls: int, seed: int) -> list[Case]:
    chance = random.Random(seed)
    ways = list(WAYS)
    return [
        Case(number, *PLACES[number % len(PLACES)], ways[number // len(PLACES) % len(ways)], draw(chance))
        for number in range(calls)
    ]


async def run(played: Sequence[Case], at_once: int) -> list[list[str]]:
    """Plays the calls; what was found in each."""
    room = asyncio.Semaphore(at_once)
    return await asyncio.gather(*(place_call(case, room) for case in played))


def found_in_log(played: Sequence[Case], lines: Sequence[str]) -> list[list[str]]:
    """What of each call's secrets is in the lines that the process logged about it."""
    found: list[list[str]] = [[] for _ in played]
    by_id = {case.call_id: case for case in played}
    for line in lines:
        entry = orjson.loads(line)
        if (case := by_id.get(entry.get("call_id", ""))) is not None:
            for text in strings_in(entry):
                found[case.number] += [f"process log: {what}" for what in case.leaks(speech_only(text))]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=60)
    options = parser.parse_args()
    played = cases(options.calls, options.seed)
    written = io.StringIO()
    pipeline = configure_logging("DEBUG", "json", written)
    try:
        found = asyncio.run(run(played, options.at_once))
    finally:
        pipeline.stop()
    lines = written.getvalue().splitlines()
    counted, examples = Counter[str](), []
    for case, in_call, in_log in zip(played, found, found_in_log(played, lines), strict=True):
        for what in dict.fromkeys(in_call + in_log):
            counted[what] += 1
            examples.append(f"{case.place} / {case.way}: {what}")
    print(f"{options.calls} calls, {len(PLACES)} places x {len(WAYS)} ways; {len(lines)} lines of process log")
    for example in examples[:60]:
        print("  ", example)
    print(f"hits: {sum(counted.values())} {dict(counted)}")
    sys.exit(1 if counted else 0)


if __name__ == "__main__":
    main()
