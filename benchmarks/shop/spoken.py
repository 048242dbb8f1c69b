"""Real-time calls during which the shop fails, and what is found wrong with them.

One server and one shop serve all calls. A call takes some cases one after another: the fault is switched on, the caller asks
(and agrees, where something is changed), asks for something else while it lasts, and asks again when the shop is well.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.hearing import recognised
from tests.servers import RunningServer

from voice_agent.demo_backend.faults import Fault
from voice_agent.errors import CallError
from voice_agent.evaluation.caller import CallOptions, SimulatedCaller, Utterance
from voice_agent.models import Role, ToolCall, ToolStatus
from voice_agent.providers.llm.base import LlmEvent, LlmRequest, ToolCallRequested

from .cases import DOWN, ENDPOINTS, READ, WRITE, Case, Told
from .process import ShopProcess

MAX_SILENCE_S = 2.0
VOICE = "joe"
CALLER, PIN = "+15550100", "4271"  # of the demo shop
OPEN_ORDER, SENT_ORDER = "83240", "83102"
WISHES = {READ: "Where is my order?", WRITE: "Please cancel my order."}
YES, ASIDE = "Yes, please.", "What is your return policy?"
ASIDE_ANSWER = "You can send it back to us. Please keep the receipt."
ANSWERS = {READ: "Your order is on its way to you.", WRITE: "Your order has been cancelled."}
REFUSALS = {"already_cancelled": "That was done before."}
# Words that each saying has and no other, as a recogniser hears them.
_HEARD = {
    (READ, Told.ANSWER): "on its way",
    (WRITE, Told.ANSWER): "has been cancel",
    (READ, Told.FALLBACK): "reach the order system",
    (WRITE, Told.FALLBACK): "cancel the order right now",
    (WRITE, Told.UNSURE): "find out whether",
}
_ASIDE_HEARD, _BEFORE_HEARD = "receipt", "done before"
_ANSWERED_WITHIN_S = 30.0
_ids = itertools.count(1)


def script(request: LlmRequest) -> str | Sequence[LlmEvent]:
    """The language vendor's model: a wish becomes a tool call, a result a sentence."""
    last = request.messages[-1]
    if last.role is Role.TOOL and last.tool_result is not None:
        done = last.tool_result.status is ToolStatus.OK
        return ANSWERS[last.tool_result.name] if done else REFUSALS.get(last.tool_result.reason, "It does not say.")
    newest = next(message.text.lower() for message in reversed(request.messages) if message.role is Role.CALLER)
    if "policy" in newest:
        return ASIDE_ANSWER
    if "cancel" in newest:
        return [_wanted(WRITE, OPEN_ORDER)]
    return [_wanted(READ, SENT_ORDER)] if "order" in newest else "I am sorry, I did not get that."


def _wanted(tool: str, order_id: str) -> ToolCallRequested:
    return ToolCallRequested(ToolCall(f"call-{next(_ids)}", tool, json.dumps({"order_id": order_id})))


@dataclass
class Finding:
    """What came of a case. ``wrong`` is empty where all is as it should be; times in seconds."""

    case: Case
    told: str = "nothing"
    heard: str = ""
    worst_silence_s: float = 0.0
    fillers: int = 0
    made: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Surroundings:
    server: RunningServer
    shop: ShopProcess
    speech: Mapping[str, bytes]  # what is said, as 16 kHz audio


async def run_call(cases: Sequence[Case], place: Surroundings) -> list[Finding]:
    """Places one call for the cases; never raises for what goes wrong in it."""
    findings = [Finding(case) for case in cases]
    try:
        async with SimulatedCaller(place.server.url, CallOptions(caller_id=CALLER)) as caller:
            await caller.wait_for("session", timeout_s=20)
            await caller.wait_for_agent_to_finish(timeout_s=30)
            visit = _Visit(caller, place)
            await visit.prove_identity()
            for finding in findings:
                await visit.take(finding)
            await caller.hang_up()
    except (CallError, TimeoutError) as error:
        for finding in findings:
            if finding.told == "nothing":
                finding.wrong.append(f"the call: {error}"[:300])
    return findings


@dataclass(frozen=True)
class _Step:
    """One exchange: what was said, and the frames since."""

    utterance: Utterance
    since: int
    until_s: float


class _Visit:
    """A call under way."""

    def __init__(self, caller: SimulatedCaller, place: Surroundings) -> None:
        self._caller = caller
        self._place = place

    async def prove_identity(self) -> None:
        """The first question about an order is answered after the PIN."""
        caller = self._caller
        await self._say(WISHES[READ])
        since = len(caller.events)
        for key in PIN:
            await caller.press(key)
            await caller.stay(0.08)
        await caller.wait_for("tool", lambda frame: frame["status"] == "ok", since=since, timeout_s=20)
        await caller.wait_for_agent_to_finish(timeout_s=_ANSWERED_WITHIN_S, since_s=caller.now())

    async def take(self, finding: Finding) -> None:
        case, shop = finding.case, self._place.shop
        failures = await asyncio.to_thread(self._failures, case.tool)
        if case.tool == WRITE:
            await asyncio.to_thread(shop.reopen, OPEN_ORDER)
            await self._say(WISHES[WRITE])  # and is asked whether to
        await self._switch(case, on=True)
        try:
            asked = await self._say(YES if case.tool == WRITE else WISHES[READ])
            aside = await self._say(ASIDE)
        finally:
            await self._switch(case, on=False)
        finding.made = await asyncio.to_thread(shop.refunds, OPEN_ORDER)
        failures = await asyncio.to_thread(self._failures, case.tool) - failures
        again = await self._say(WISHES[case.tool])
        if case.tool == WRITE:
            again = await self._say(YES)
        made = await asyncio.to_thread(shop.refunds, OPEN_ORDER)
        await self._judge(finding, asked, aside, again)
        if failures != (case.told is not Told.ANSWER):
            finding.wrong.append(f"voice_tool_failures_total grew by {failures:g}")
        if case.tool == WRITE and (finding.made, made) != (int(case.made), 1):
            finding.wrong.append(
                f"the change was made {finding.made} times, and {made} times when it was asked for again"
            )

    async def _say(self, text: str) -> _Step:
        since = len(self._caller.events)
        utterance = await self._caller.say(self._place.speech[text])
        await self._caller.wait_for_agent_to_finish(timeout_s=_ANSWERED_WITHIN_S)
        return _Step(utterance, since, self._caller.now())

    async def _switch(self, case: Case, *, on: bool) -> None:
        shop = self._place.shop
        if case.fault == DOWN:
            await asyncio.to_thread(shop.stop if on else shop.start)
        else:
            fault = Fault(case.fault) if on else None
            await asyncio.to_thread(
                shop.strike, ENDPOINTS[case.tool], fault, slow_ms=case.slow_ms or 1000, times=case.times if on else None
            )

    def _failures(self, tool: str) -> float:
        found = re.search(
            rf'^voice_tool_failures_total\{{tool_name="{tool}"\}} (\S+)$',
            self._place.server.get("/metrics"),
            re.MULTILINE,
        )
        return float(found[1]) if found else 0.0

    async def _judge(self, finding: Finding, asked: _Step, aside: _Step, again: _Step) -> None:
        case = finding.case
        finding.told, finding.heard = await self._told(case.tool, asked)
        finding.fillers = sum("moment" in text or "waiting" in text for text in self._texts(asked))
        if finding.told != case.told:
            finding.wrong.append(f"told {finding.told}, expected {case.told}: {finding.heard!r}")
        _, heard = await self._told(case.tool, aside)
        if _ASIDE_HEARD not in heard.lower():
            finding.wrong.append(f"the next question was not answered: {heard!r}")
        told, heard = await self._told(case.tool, again)
        repeated = case.tool == WRITE and case.told is Told.ANSWER  # the change is known to have been made
        if (_BEFORE_HEARD not in heard.lower()) if repeated else told != Told.ANSWER:
            finding.wrong.append(f"when the shop was well the caller heard: {heard!r}")
        finding.worst_silence_s = max(_silence_s(self._caller, step) for step in (asked, aside, again))
        if finding.worst_silence_s > MAX_SILENCE_S:
            finding.wrong.append(f"{finding.worst_silence_s:.2f} s of silence")

    def _texts(self, step: _Step) -> list[str]:
        frames = self._caller.events[step.since :]
        return [
            str(frame.data["text"]) for frame in frames if frame.type == "agent_text" and frame.at_s <= step.until_s
        ]

    async def _told(self, tool: str, step: _Step) -> tuple[str, str]:
        """What the caller understood of the tool, by the audio, and the words of it."""
        pcm = self._caller.heard_track(step.utterance.last_voiced_s, step.until_s)
        words = await asyncio.to_thread(recognised, pcm, self._caller.options.out_rate_hz)
        plain = words.lower().replace("canceled", "cancelled")
        told = [told for (name, told), mark in _HEARD.items() if name == tool and mark in plain]
        return (told[0] if len(told) == 1 else f"{len(told)} things"), words


def _silence_s(caller: SimulatedCaller, step: _Step) -> float:
    """The longest from the caller's last voiced sample to sound, and inside of what the agent says."""
    begin_s, longest_s = step.utterance.last_voiced_s, 0.0
    for start_s, end_s in caller.playback.sound_spans():
        if end_s > begin_s and start_s < step.until_s:
            longest_s = max(longest_s, start_s - begin_s)
            begin_s = end_s
    return longest_s
