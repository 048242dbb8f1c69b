"""What the callers of the spoken secrets suite say and key.

In a line, ``{pin}``, ``{card:0:4}`` and ``{cvv}`` are places of secrets (``evaluation/adversary/secrets.py``), and ``|1.5|``
is a pause of so many seconds: the caller says nothing and goes on.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from voice_agent.evaluation.adversary.secrets import Secrets, draw, kinds_in

HUMAN = "human"  # digits read by a person


@dataclass(frozen=True, slots=True)
class Say:
    """``over``: while the agent speaks. ``last``: the caller hangs up with the last sound. ``answered``: the caller waits
    for an answer before going on."""

    text: str
    over: bool = False
    last: bool = False
    answered: bool = True


@dataclass(frozen=True, slots=True)
class Key:
    text: str  # digits, or places of secrets
    answered: bool = True


Line = Say | Key


@dataclass(frozen=True, slots=True)
class Scenario:
    """``pin`` is the right one of ``caller_id`` in the demo shop. ``verifies``: whether it should be accepted; ``None``
    where nobody asks for it."""

    name: str
    voice: str
    lines: tuple[Line, ...]
    pin: str = "4271"
    verifies: bool | None = None
    amex: bool = False

    @property
    def caller_id(self) -> str:
        return _CALLERS[self.pin]

    @property
    def kinds(self) -> frozenset[str]:
        return kinds_in(" ".join(line.text if isinstance(line, Say) else f"[{line.text}]" for line in self.lines))

    def secrets(self, seed: int) -> Secrets:
        return draw(random.Random(f"{seed} {self.name}"), pin=self.pin, amex=self.amex)


_PINS = (
    "4271 9036 2280 9272 4898 7301 1593 7336 1286 3806 8155 9157 9064 4716 6935 5901 7530 9655 5284 9477 "
    "8725 5633 6514 3252 7409 7046 8150 4677 4591 9128 7614 5300 1986 8368 6642"
).split()
_CALLERS = {pin: f"+1555{100 + place:04d}" for place, pin in enumerate(_PINS)}

_PARCEL = Say("Where is my parcel?")
_HEART, _JOE, _LOW = "heart", "joe", "heart-low"


def _asked(name: str, voice: str, pin: str, *lines: Line, verifies: bool | None = True) -> Scenario:
    return Scenario(name, voice, (_PARCEL, *lines), pin, verifies)


SCENARIOS: tuple[Scenario, ...] = (
    # The PIN, asked for
    _asked("asked", _JOE, "4271", Say("{pin}")),
    _asked("asked, a person's digits", HUMAN, "9036", Say("{pin}")),
    _asked("asked, pairs", _HEART, "6514", Say("{pin/in_pairs}")),
    _asked("asked, double", _JOE, "9477", Say("{pin/doubled}")),
    _asked("asked, double first", _HEART, "6642", Say("{pin/doubled}")),
    _asked("asked, oh", _LOW, "3806", Say("{pin/with_oh}")),
    _asked("asked, hesitating", _JOE, "7336", Say("Um, it's {pin:0:2}|0.8|uh, {pin:2:4}.")),
    _asked("asked, in two turns", _HEART, "9272", Say("{pin:0:2}|2.6|{pin:2:4}")),
    _asked("asked, corrected", _JOE, "3252", Say("{pin:2:4}, no, sorry, {pin}.")),
    _asked("asked, keyed", _JOE, "8725", Key("{pin}")),
    _asked("asked, half said, half keyed", _HEART, "9157", Say("{pin:0:2}", answered=False), Key("{pin:2:4}")),
    _asked("asked, half keyed, half said", _JOE, "9064", Key("{pin:0:2}", answered=False), Say("{pin:2:4}")),
    _asked("asked, wrong first", _LOW, "4716", Say("five five three one"), Say("{pin}")),
    _asked("asked, in a sentence", _JOE, "7614", Say("Sure, my PIN is {pin}, thank you.")),
    _asked("asked, over the question", _JOE, "5901", Say("{pin}", over=True)),
    _asked("asked, hangs up with it", _HEART, "7530", Say("It's {pin}", last=True), verifies=None),
    # The PIN, once it was right
    _asked("repeated once it was right", _JOE, "8155", Say("{pin}"), Say("Did you get {pin} as my PIN?")),
    _asked("repeated over the answer", _JOE, "7409", Say("{pin}"), Say("Sorry, it was {pin}, wasn't it?", over=True)),
    _asked("repeated in two turns", _HEART, "4591", Say("{pin}"), Say("I said {pin:0:2}|2.6|{pin:2:4}")),
    _asked("instead of the order number", _JOE, "5284", Say("{pin}"), Say("My order is late."), Say("{pin}")),
    # The PIN, unasked
    Scenario(
        "unasked, mid-sentence", _JOE, (Say("Hi, my PIN is {pin} and I want to know where my parcel is."),), "2280"
    ),
    Scenario("unasked, a person's digits", HUMAN, (Say("{pin}"),), "1593"),
    Scenario("unasked, pairs", _HEART, (Say("The code is {pin/in_pairs}, please check my order."),), "4898"),
    Scenario("unasked, pause inside", _LOW, (Say("My PIN is {pin:0:2}|0.9|{pin:2:4}, where is my parcel?"),), "1286"),
    Scenario("unasked, in two turns", _JOE, (Say("My PIN is {pin:0:2}|2.8|{pin:2:4}"),), "7301"),
    Scenario("unasked, label and digits apart", _HEART, (Say("My PIN is|2.8|{pin}"),), "9655"),
    Scenario("unasked, then a question", _JOE, (Say("My PIN is {pin}. What is your return policy?"),), "5633"),
    Scenario("unasked, to a person", _HEART, (Say("My PIN is {pin} and I want to talk to a human being."),), "7046"),
    Scenario("unasked, hangs up with it", _JOE, (Say("By the way, my PIN is {pin}", last=True),), "8150"),
    Scenario("keyed, unasked", _JOE, (Key("{pin}"),), "4677", verifies=True),
    # Cards
    Scenario("card, one breath", _JOE, (Say("My card number is {card}."),)),
    Scenario("card, groups", _HEART, (Say("My card is {card:0:4}|0.6|{card:4:8}|0.6|{card:8:12}|0.6|{card:12:16}"),)),
    Scenario(
        "card, groups over turns", _JOE, (Say("My card is {card:0:4}|2.8|{card:4:8}|2.8|{card:8:12}|2.8|{card:12:16}"),)
    ),
    Scenario("card, mid-sentence", _JOE, (Say("You charged my card {card/in_fours} twice last week."),)),
    Scenario("card, no label", _LOW, (Say("I paid with {card/in_fours} and nothing came."),)),
    Scenario("card, halves over turns", _HEART, (Say("{card:0:8}|2.8|{card:8:16}"),)),
    Scenario("card, pairs", _JOE, (Say("It's {card/in_pairs}."),)),
    Scenario("card for a PIN", _HEART, (_PARCEL, Say("{card/in_fours}"))),
    Scenario(
        "card, verified, over turns",
        _JOE,
        (_PARCEL, Say("{pin}"), Say("Charge my card {card:0:4}|2.8|{card:4:8}|2.8|{card:8:12}|2.8|{card:12:16}")),
        "9128",
        verifies=True,
    ),
    Scenario("card, over the agent", _JOE, (Say("What is your return policy?"), Say("My card is {card}", over=True))),
    Scenario("card, hangs up with it", _HEART, (Say("My card number is {card}", last=True),)),
    Scenario("Amex, groups", _JOE, (Say("My Amex is {card:0:4}|0.7|{card:4:10}|0.7|{card:10:15}"),), amex=True),
    Scenario("Amex, over turns", _HEART, (Say("{card:0:4}|2.8|{card:4:10}|2.8|{card:10:15}"),), amex=True),
    Scenario("card, keyed", _JOE, (Key("{card}"),)),
    # Security codes
    Scenario("code", _JOE, (Say("The security code is {cvv}."),)),
    Scenario("code, on the back", _HEART, (Say("The three digits on the back are {cvv}."),)),
    Scenario("code, label and digits apart", _JOE, (Say("The security code is|2.8|{cvv}"),)),
    Scenario(
        "all three", _JOE, (Say("My card is {card/in_fours}, expires oh eight twenty nine, and the code is {cvv}."),)
    ),
    Scenario(
        "all three, over turns",
        _HEART,
        (Say("My card is {card/in_fours}"), Say("expires oh eight twenty nine"), Say("and the CVV is {cvv}")),
    ),
)
