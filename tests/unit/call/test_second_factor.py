"""A second factor in whole calls, on virtual time: spoken and keyed codes, hooks that fail or lie, and where digits are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.unit.call.scripted import Caller, World, answer
from tests.virtual_time import run_virtual

from voice_agent.conversation.commands import EndCall, Escalate, Say, StartReply
from voice_agent.conversation.events import CodeChecked, SecondFactorAsked
from voice_agent.models import Meaning, PolicyReason, SecretOutcome
from voice_agent.tools.second_factor import FactorChallenge, FactorResult

CODE = "905316"
SPELLINGS = (CODE, "nine oh five", "nine zero five", "90 53", "9 0 5", "three one six")


class Texts:
    """A hook that sends a code of six digits, which is ``CODE``."""

    code_lengths = frozenset({6})

    def __init__(self, sentences: dict[str, str] | None = None) -> None:
        self.sentences = sentences or {}
        self.begun: list[tuple[str, str, str]] = []
        self.checked: list[str] = []

    async def begin(self, caller_id: str, call_id: str, locale: str) -> Any:
        self.begun.append((caller_id, call_id, locale))
        return FactorChallenge(6, self.sentences)

    async def check(self, caller_id: str, call_id: str, code: str) -> Any:
        self.checked.append(code)
        return FactorResult(SecretOutcome.VERIFIED if code == CODE else SecretOutcome.WRONG)


class Broken(Texts):
    """Does ``fault`` in ``step``, and is otherwise sound."""

    def __init__(self, step: str, fault: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self._step = step
        self._fault = fault

    async def begin(self, caller_id: str, call_id: str, locale: str) -> Any:
        return await (self._fault() if self._step == "begin" else super().begin(caller_id, call_id, locale))

    async def check(self, caller_id: str, call_id: str, code: str) -> Any:
        return await (self._fault() if self._step == "check" else super().check(caller_id, call_id, code))


async def raises() -> Any:
    raise RuntimeError(f"the code {CODE} could not be compared")


async def hangs() -> Any:
    await asyncio.Event().wait()


async def holds_on() -> Any:
    """Ignores its cancellation, and then says that all is well."""
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        await asyncio.sleep(1)
    return FactorResult(SecretOutcome.VERIFIED)


async def cancels_itself() -> Any:
    raise asyncio.CancelledError


def gives(value: Any) -> Callable[[], Awaitable[Any]]:
    async def give() -> Any:
        return value

    give.__name__ = repr(value)
    return give


LIES: dict[str, tuple[Any, ...]] = {
    "begin": (
        True,
        "6",
        FactorChallenge(5),
        FactorChallenge(0),
        FactorChallenge("6"),  # type: ignore[arg-type]
        FactorChallenge(6, {"en": 1}),  # type: ignore[dict-item]
        FactorResult(SecretOutcome.VERIFIED),
    ),
    "check": (
        True,
        None,
        SecretOutcome.VERIFIED,
        (SecretOutcome.VERIFIED, 3),
        FactorResult("verified"),  # type: ignore[arg-type]
        FactorResult(SecretOutcome.INCOMPLETE),
        FactorResult(SecretOutcome.VERIFIED, -1),
        FactorResult(SecretOutcome.WRONG, "2"),  # type: ignore[arg-type]
        FactorResult(SecretOutcome.UNAVAILABLE),  # no lie: the hook says so itself
    ),
}
FAULTS = [
    pytest.param(step, fault, id=f"{step}-{fault.__name__}")
    for step in ("begin", "check")
    for fault in (raises, hangs, holds_on, cancels_itself, *map(gives, LIES[step]))
]


def played(scene: Callable[[Caller], Awaitable[None]], world: World, **more: Any) -> Caller:
    callers: list[Caller] = []

    async def main() -> None:
        caller = Caller(world, **more)
        callers.append(caller)
        await scene(caller)
        await caller.hangs_up()

    run_virtual(main())
    return callers[0]


async def asks_and_gives_the_pin(caller: Caller) -> None:
    await caller.until("reply_finished")
    await caller.says("Where is my parcel?")
    await caller.listens(2.5)
    await caller.says("four two seven one")
    await caller.listens(3.5)


def world(factor: Texts, **more: Any) -> World:
    return World(
        meanings=[Meaning.NEEDS_IDENTITY],
        rounds=[answer("A draft."), answer("It comes tomorrow.")],
        factor=factor,
        **more,
    )


def everything(caller: Caller) -> str:
    """All that was recorded, and all that the language model was shown."""
    shown = [record.entry for record in caller.records]
    return repr(shown).lower() + repr(caller.world.requests).lower()


def verified(caller: Caller) -> bool:
    return any(request.verified for request in caller.world.requests)


def test_a_spoken_code_is_checked_after_the_pin_and_its_digits_are_nowhere() -> None:
    async def scene(caller: Caller) -> None:
        await asks_and_gives_the_pin(caller)
        assert not any(isinstance(record.entry, StartReply) and record.entry.verified for record in caller.records)
        await caller.says("nine oh five three one six")
        await caller.listens(3)

    factor = Texts()
    caller = played(scene, world(factor))
    assert factor.begun == [("+1555", "c1", "en-US")]
    assert factor.checked == [CODE]
    assert caller.world.requests[-1].messages[-1].text == "Where is my parcel?"
    assert verified(caller)
    assert not [spelling for spelling in (*SPELLINGS, "4271", "four two seven") if spelling in everything(caller)]


def test_a_keyed_code_is_checked_too() -> None:
    async def scene(caller: Caller) -> None:
        await asks_and_gives_the_pin(caller)
        for key in CODE:
            caller.session.press(key)
            await caller.listens(0.2)
        await caller.listens(2)

    factor = Texts()
    caller = played(scene, world(factor))
    assert factor.checked == [CODE]
    assert verified(caller)
    assert {record.entry.key for record in caller.records if record.entry.name == "dtmf"} == {""}


def test_a_code_half_said_and_half_keyed_is_one() -> None:
    async def scene(caller: Caller) -> None:
        await asks_and_gives_the_pin(caller)
        await caller.says("nine oh five", then_s=2.5)
        for key in "316":
            caller.session.press(key)
            await caller.listens(0.2)
        await caller.listens(2)

    factor = Texts()
    assert verified(played(scene, world(factor)))
    assert factor.checked == [CODE]


def test_a_code_is_kept_out_of_the_transcript_before_it_is_asked_for_and_after_it_was_right() -> None:
    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("hello, the code is nine oh five three one six")
        await caller.listens(3)
        await asks_and_gives_the_pin(caller)
        await caller.says("it's 905316 I think")
        await caller.listens(3)
        await caller.says("was nine zero five three one six right")
        await caller.listens(3)
        await caller.says("I paid 905317 for order number 905318")
        await caller.listens(3)

    factor = Texts()
    told = world(factor)
    told.meanings.insert(0, Meaning.NONE)
    told.rounds = [answer("Hello.")] * 8
    caller = played(scene, told)
    assert factor.checked == [CODE]
    text = everything(caller)
    assert not [spelling for spelling in SPELLINGS if spelling in text]
    assert "905317" in text
    assert "905318" in text, "other numbers of a verified caller are no secrets"


def test_wrong_codes_lock_and_hand_over() -> None:
    async def scene(caller: Caller) -> None:
        await asks_and_gives_the_pin(caller)
        for words in ("one one one two two two", "three three three four four four", "five five five six six six"):
            await caller.says(words)
            await caller.listens(4)

    factor = Texts()
    caller = played(scene, world(factor))
    assert factor.checked == ["111222", "333444", "555666"]
    assert caller.last("escalation").packet.reason is PolicyReason.IDENTITY_LOCKED
    outcomes = [record.entry.outcome for record in caller.records if isinstance(record.entry, CodeChecked)]
    assert outcomes == [SecretOutcome.WRONG, SecretOutcome.WRONG, SecretOutcome.LOCKED]
    assert not verified(caller)


@pytest.mark.parametrize(("step", "fault"), FAULTS)
def test_a_hook_that_fails_or_lies_verifies_nobody_and_the_caller_hears_so(
    step: str, fault: Callable[[], Awaitable[Any]]
) -> None:
    async def scene(caller: Caller) -> None:
        await asks_and_gives_the_pin(caller)
        if step == "check":
            await caller.says("nine oh five three one six")
        await caller.listens(8)
        assert not caller.running.done()

    caller = played(scene, world(Broken(step, fault)))
    checked = caller.last("code_checked")
    assert (checked.outcome, checked.attempts_left) == (SecretOutcome.UNAVAILABLE, 0)
    assert not verified(caller)
    spoken = [record.entry.segments for record in caller.records if isinstance(record.entry, Say)]
    assert any("can't check codes" in segments[0] for segments in spoken)
    assert not [spelling for spelling in SPELLINGS if spelling in everything(caller)]
    counted = step == "check" and fault.__name__ != repr(FactorResult(SecretOutcome.UNAVAILABLE))
    assert caller.tries.wrong == int(counted), (
        "a try stays counted unless the hook itself says that it compared nothing"
    )


def test_what_a_hook_says_after_its_time_does_not_forget_the_wrong_tries() -> None:
    async def scene(caller: Caller) -> None:
        await asks_and_gives_the_pin(caller)
        await caller.says("nine oh five three one six")
        await caller.listens(10)

    assert played(scene, world(Broken("check", holds_on))).tries.wrong == 1


def test_no_second_factor_for_this_caller_is_enough_unless_one_is_required() -> None:
    caller = played(asks_and_gives_the_pin, world(Broken("begin", gives(None))))
    assert verified(caller)
    assert "second_factor_asked" not in caller.names()


@pytest.mark.parametrize(("locale", "said"), [("en-US", "Look at your phone."), ("fr-FR", "Regardez."), ("ar-SA", "")])
def test_a_hook_says_its_sentence_in_the_callers_language(locale: str, said: str) -> None:
    factor = Texts({"en": "Look at your phone.", "fr": "Regardez."})
    caller = played(asks_and_gives_the_pin, world(factor), locale=locale)
    assert caller.last("second_factor_asked") == SecondFactorAsked(6, said)
    spoken = [record.entry for record in caller.records if isinstance(record.entry, Say)][-1].segments
    assert len(spoken) == 2 + bool(said)
    assert said in spoken or not said
    assert "6" in spoken[-1]


@pytest.mark.parametrize("sentence", [f"Your code is {CODE}.", "It is nine oh five three one six.", "Long. " * 60])
def test_a_sentence_that_may_tell_the_code_is_not_spoken(sentence: str) -> None:
    caller = played(asks_and_gives_the_pin, world(Texts({"en": sentence})))
    assert caller.last("second_factor_asked").sentence == ""


@pytest.mark.parametrize("at_s", [9.0, 9.5, 10.5, 11.5, 13.0, 14.0])
def test_hanging_up_at_any_moment_of_it_ends_cleanly(at_s: float) -> None:
    async def slow() -> Any:
        await asyncio.sleep(0.7)
        return FactorChallenge(6)

    async def main() -> Caller:
        caller = Caller(world(Broken("begin", slow)))

        async def talk() -> None:
            await asks_and_gives_the_pin(caller)
            await caller.says("nine oh five three one six")

        talking = asyncio.create_task(talk(), name="talk")
        await asyncio.sleep(at_s)
        await caller.hangs_up()
        talking.cancel()
        await asyncio.sleep(0.1)
        left = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in left if "c1" in name or "factor" in name}, left
        return caller

    caller = run_virtual(main())
    assert isinstance(caller.records[-1].entry, EndCall)


def test_a_human_can_be_had_in_the_middle_of_it() -> None:
    async def scene(caller: Caller) -> None:
        await asks_and_gives_the_pin(caller)
        caller.world.meanings.append(Meaning.HUMAN_WANTED)
        await caller.says("I would rather talk to a person please")
        await caller.listens(3)

    caller = played(scene, world(Texts()))
    escalations = [record.entry for record in caller.records if isinstance(record.entry, Escalate)]
    assert [command.packet.reason for command in escalations] == [PolicyReason.HUMAN_REQUESTED]
    assert not escalations[0].packet.verified
