"""Calls by text with the real PIN check, the real TOTP, and a real database: what callers with an authenticator app get."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.unit.store.conftest import add_caller, store_settings

from voice_agent.clock import LoopClock
from voice_agent.config import IdentitySettings, ToolSettings
from voice_agent.conversation.codec import encode
from voice_agent.conversation.commands import Escalate, StartReply
from voice_agent.conversation.events import CodeChecked
from voice_agent.evaluation.adversary.model import ScriptedModel
from voice_agent.evaluation.text_call import TextCall
from voice_agent.models import Meaning, MeaningScore, PolicyReason, SecretOutcome
from voice_agent.observability.record import LogRecord
from voice_agent.store.callers import CallerDirectory
from voice_agent.store.database import Database, open_database
from voice_agent.store.totp_secrets import TotpSecrets
from voice_agent.store.tries import TryCount
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.second_factor import GuardedSecondFactor
from voice_agent.tools.totp import STEP_S, TotpFactor, totp_code

ANA, BEN = "+15559000", "+15559001"
PIN = "8265"
SECRET = b"twenty secret bytes!"
WORDS = "zero one two three four five six seven eight nine".split()


class AsksForIdentity:
    """Whatever is asked about a parcel needs a verified caller."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def meanings(self, text: str, *, locale: str) -> tuple[MeaningScore, ...]:
        wanted = Meaning.NEEDS_IDENTITY if "parcel" in text else Meaning.NONE
        return (MeaningScore(wanted, 0.9, accepted=wanted is not Meaning.NONE),)


@dataclass
class Line:
    """A support line: one database, and calls on it one after another."""

    database: Database
    clock: LoopClock
    identity: IdentitySettings
    calls: int = 0
    shown: set[str] = field(default_factory=set)

    def call(self, caller_id: str = ANA) -> TextCall:
        self.calls += 1
        tries = TryCount(self.database, self.identity, self.clock)
        factor = TotpFactor(TotpSecrets(self.database, self.identity), self.clock)
        tools = ToolRegistry()
        model = ScriptedModel((), "It comes tomorrow.")
        self.shown = model.shown
        return TextCall(
            model,
            AsksForIdentity(),
            tools,
            ToolRouter(tools, ToolSettings(), self.clock),
            CallerDirectory(self.database, self.identity, self.clock),
            self.clock,
            caller_id=caller_id,
            call_id=f"call-{self.calls}",
            second_factor=GuardedSecondFactor(factor, tries, self.identity, ToolSettings(), self.clock),
        )

    def code(self, shift: int = 0) -> str:
        return totp_code(SECRET, int(self.clock.wall().timestamp()) // STEP_S + shift)

    def wrong_code(self) -> str:
        right = {self.code(shift) for shift in range(-2, 4)}
        return next(code for number in range(9) if (code := f"{number}53197") not in right)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    clock = LoopClock()
    identity = IdentitySettings.model_construct(
        second_factor="totp", identity_key=SecretStr(base64.b64encode(bytes(32)).decode())
    )
    async with open_database(store_settings(), tmp_path) as database:
        for caller_id in (ANA, BEN):
            await add_caller(database, caller_id, PIN)
        await TotpSecrets(database, identity).put(ANA, SECRET)
        yield Line(database, clock, identity)


def spelled(digits: str) -> str:
    return " ".join(WORDS[int(digit)] for digit in digits)


def verified(call: TextCall) -> bool:
    return any(isinstance(record.entry, StartReply) and record.entry.verified for record in call.log)


def outcomes(call: TextCall) -> list[SecretOutcome]:
    return [record.entry.outcome for record in call.log if isinstance(record.entry, CodeChecked)]


def read_as_figures(text: str) -> str:
    """Number words as figures, and figures joined over whatever separates them but other words."""
    figures = text.lower()
    for value, word in enumerate([*WORDS, "oh"]):
        figures = re.sub(rf"\b{word}\b", str(value % 10), figures)
    return re.sub(r"(?<=\d)[\s,.-]+(?=\d)", "", figures)


def leaks(log: list[LogRecord], shown: set[str], *secrets: str) -> list[str]:
    """Where a secret stands: in any text of any record, or in what the model was shown."""
    texts = [(record.entry.name, text) for record in log for text in strings(encode(record.entry))]
    texts += [("model", text) for text in shown]
    assert len(texts) > 50
    return [name for name, text in texts for secret in secrets if secret in read_as_figures(text)]


def strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, inner in value.items() if key != "wall" for text in strings(inner)]
    return [text for inner in value for text in strings(inner)] if isinstance(value, list) else []


async def test_pin_and_code_then_the_answer_and_no_digit_anywhere(line: Line) -> None:
    call, code = line.call(), line.code()
    async with call:
        await call.say("where is my parcel")
        await call.say(spelled(PIN))
        assert not verified(call)
        await call.say(f"it's {spelled(code)}")
        assert verified(call)
        await call.say(f"was {code} the right one, and {spelled(PIN)}")
    assert outcomes(call) == [SecretOutcome.VERIFIED]
    answered = next(record.entry for record in call.log if isinstance(record.entry, StartReply))
    assert answered.verified
    assert "where is my parcel" in " ".join(line.shown)
    assert not leaks(call.log, line.shown, code, PIN)
    assert leaks(call.log, {f"so {spelled(code)}"}, code) == ["model"], "the search finds what is there"


async def test_a_code_that_was_used_is_refused_in_the_next_call(line: Line) -> None:
    code = line.code()
    for expected in (SecretOutcome.VERIFIED, SecretOutcome.WRONG):
        call = line.call()
        async with call:
            await call.say("where is my parcel")
            await call.press(PIN)
            await call.press(code)
        assert outcomes(call) == [expected]
        assert verified(call) is (expected is SecretOutcome.VERIFIED)
        assert not leaks(call.log, line.shown, code)


async def test_wrong_codes_lock_across_calls_though_the_pin_is_right_each_time(line: Line) -> None:
    wrong = line.wrong_code()
    first, second, third = line.call(), line.call(), line.call()
    async with first:
        await first.say("where is my parcel")
        await first.say(spelled(PIN))
        await first.say(spelled(wrong))
        await first.say(spelled(wrong))
    assert outcomes(first) == [SecretOutcome.WRONG] * 2
    async with second:
        await second.say("where is my parcel")
        await second.press(PIN)
        await second.press(wrong)
    assert outcomes(second) == [SecretOutcome.LOCKED]
    packet = next(record.entry.packet for record in second.log if isinstance(record.entry, Escalate))
    assert packet.reason is PolicyReason.IDENTITY_LOCKED
    async with third:
        await third.say("where is my parcel")
        await third.press(PIN)
    assert not outcomes(third), "a locked caller is not even asked for a code"
    assert not verified(third)
    for call in (first, second, third):
        assert not leaks(call.log, line.shown, wrong, PIN)


async def test_a_caller_without_a_secret_is_verified_by_the_pin_alone_or_handed_over(line: Line) -> None:
    for required in (False, True):
        line.identity = line.identity.model_copy(update={"second_factor_required": required})
        call = line.call(BEN)
        async with call:
            await call.say("where is my parcel")
            await call.press(PIN)
        assert verified(call) is not required
        escalated = [record.entry.packet for record in call.log if isinstance(record.entry, Escalate)]
        assert [packet.reason for packet in escalated] == [PolicyReason.IDENTITY_REQUIRED] * required


async def test_an_identity_key_that_was_changed_verifies_nobody(line: Line) -> None:
    line.identity = line.identity.model_copy(update={"identity_key": SecretStr(base64.b64encode(b"x" * 32).decode())})
    call = line.call()
    async with call:
        await call.say("where is my parcel")
        await call.press(PIN)
        await call.press(line.code())
    assert outcomes(call) == [SecretOutcome.UNAVAILABLE]
    assert not verified(call)
