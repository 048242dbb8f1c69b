"""One real-time call during which a vendor fails, and what is found wrong with it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.servers import RunningServer

from hosted.cases import FALLBACKS, HOSTED, Begin, Case
from hosted.engines import Spoken
from voice_agent.conversation.codec import decode_record
from voice_agent.conversation.commands import Command, EndCall
from voice_agent.conversation.events import Event, ProviderSwitched, ReplyFailed
from voice_agent.conversation.machine import CallMachine, MachineSettings
from voice_agent.dev_vendors.desk import Mark
from voice_agent.dev_vendors.faults import Fault
from voice_agent.dev_vendors.server import RunningVendors
from voice_agent.errors import CallError
from voice_agent.evaluation.caller import CallOptions, SimulatedCaller
from voice_agent.evaluation.replay import ReplayError, replay
from voice_agent.models import CallOutcome, Message, PolicyReason, Role

# What is asked, a word that history must hold of it, and what the scripted model answers: nothing that would have to be
# looked up first, which the platform does not let a model claim.
QUESTIONS = (
    ("What is your return policy?", "return", "You can send it back to us. Please keep the receipt."),
    (
        "How long does standard shipping take?",
        "shipping",
        "That depends on where you live. You get a link to follow it.",
    ),
    ("Do gift cards expire?", "gift", "No, they stay valid. You can use them in all our stores."),
)
MAX_SILENCE_S = 2.0
_STRUCK_AT = 1  # the question during which things go wrong
_WORDS_S = 0.8  # of it, until the fault comes
_ANSWERED_WITHIN_S = 40.0  # a dripping model is given time, and then begun anew by the next


@dataclass
class Finding:
    """What came of a case. ``faults`` is empty where all is as it should be; times in seconds."""

    case: Case
    outcome: str = "no call"
    worst_silence_s: float = 0.0
    first_waits_s: list[float] = field(default_factory=list)  # to the first sound, by question
    switches: list[str] = field(default_factory=list)
    fillers: int = 0
    faults: list[str] = field(default_factory=list)
    struck: bool = False

    @property
    def passed(self) -> bool:
        return not self.faults


@dataclass(frozen=True)
class Surroundings:
    """Where a case takes place: its own vendors and its own server. ``spoken`` is what the vendors' recogniser hears."""

    vendors: RunningVendors
    spoken: Spoken
    server: RunningServer


async def run_case(case: Case, place: Surroundings, speech: Mapping[str, bytes]) -> Finding:
    """Places the call; never raises for what goes wrong in it."""
    finding = Finding(case)
    if case.begin is Begin.CALL:
        place.vendors.set_fault(case.stage, case.fault)
    try:
        async with SimulatedCaller(place.server.url, CallOptions(caller_id="+15550100")) as caller:
            await _talk(case, place, speech, caller, finding)
    except (CallError, TimeoutError) as error:
        finding.faults.append(f"the call: {error}"[:300])
        return finding
    finally:
        place.vendors.set_fault(case.stage, None)
    return finding


async def _talk(
    case: Case, place: Surroundings, speech: Mapping[str, bytes], caller: SimulatedCaller, finding: Finding
) -> None:
    session = await caller.wait_for("session", timeout_s=20)
    try:
        await caller.wait_for_agent_to_finish(timeout_s=30)
        for number, (question, _, _) in enumerate(QUESTIONS):
            place.spoken.text = question
            if number == _STRUCK_AT and case.begin is Begin.TURN:
                place.vendors.set_fault(case.stage, case.fault)
            utterance = caller.begin(speech[question])
            if number == _STRUCK_AT and case.begin is Begin.WORDS:
                await caller.stay(_WORDS_S)
                # What a session of the recogniser has sent so far is more than a fault lets pass.
                place.vendors.set_fault(case.stage, case.fault, after_bytes=0)
            await utterance.sent.wait()
            await caller.wait_for_agent_to_finish(timeout_s=_ANSWERED_WITHIN_S)
            if caller.closed is not None:
                break
        if case.dead and caller.closed is None:
            await caller.wait_until_closed(timeout_s=_ANSWERED_WITHIN_S)
        elif caller.closed is None:
            await caller.hang_up()
    finally:
        _measure_silence(caller, finding)
    _judge_outcome(case, caller, finding)
    finding.struck = _struck(case, place.vendors)
    if not finding.struck:
        finding.faults.append("the fault never came to the vendor")
    await _judge_log(case, place.server, str(session.data["call_id"]), finding)


def _struck(case: Case, vendors: RunningVendors) -> bool:
    """Whether the vendor's side shows that the fault was met."""
    if case.fault in (Fault.REFUSED, Fault.EMPTY):
        return True  # nobody is there to note it; an empty answer looks like any other
    marks = {Mark.STRUCK, Mark.REFUSED, Mark.CLOSED, Mark.SENT, Mark.LAST_BYTE}
    return any(entry.stage is case.stage and entry.mark in marks for entry in vendors.desk.journal.entries)


# The received audio


def _measure_silence(caller: SimulatedCaller, finding: Finding) -> None:
    """From each last voiced sample to audio, and within what follows, up to the caller's next words; in a call that the
    agent ended also from its last sound to the end."""
    spans = caller.playback.sound_spans()
    ends_s = caller.closed.at_s if caller.closed is not None else caller.now()
    for number, utterance in enumerate(caller.utterances):
        until_s = caller.utterances[number + 1].first_voiced_s if number + 1 < len(caller.utterances) else ends_s
        heard = [span for span in spans if span[1] > utterance.last_voiced_s and span[0] < until_s]
        if not heard:
            finding.first_waits_s.append(until_s - utterance.last_voiced_s)
            finding.worst_silence_s = max(finding.worst_silence_s, until_s - utterance.last_voiced_s)
            finding.faults.append(f"nothing was heard after question {number + 1}")
            continue
        finding.first_waits_s.append(max(0.0, heard[0][0] - utterance.last_voiced_s))
        silences = [later[0] - earlier[1] for earlier, later in pairwise(heard)]
        finding.worst_silence_s = max(finding.worst_silence_s, finding.first_waits_s[-1], *silences, 0.0)
    if finding.worst_silence_s > MAX_SILENCE_S:
        finding.faults.append(f"{finding.worst_silence_s:.2f} s of silence")


# How it ended, and what is written about it


def _judge_outcome(case: Case, caller: SimulatedCaller, finding: Finding) -> None:
    closed = caller.closed
    assert closed is not None
    reasons = [frame["reason"] for frame in caller.frames("escalation")]
    finding.outcome = "apology, transfer" if reasons else f"{len(caller.utterances)} answers, hung up"
    if closed.code != 1000:
        finding.faults.append(f"closed with {closed.code} {closed.reason!r}")
    if case.dead:
        if reasons != [PolicyReason.PROVIDER_DOWN.value]:
            finding.faults.append(f"expected a transfer for provider_down, found {reasons or 'none'}")
    elif reasons:
        finding.faults.append(f"handed over ({reasons[0]}) although the chain goes on")


async def _judge_log(case: Case, server: RunningServer, call_id: str, finding: Finding) -> None:
    path = await _event_log(server, call_id)
    if path is None:
        finding.faults.append("there is no event log")
        return
    recorder = _Recorder()
    try:
        report = await asyncio.to_thread(replay, path, recorder.build)
    except ReplayError as error:
        finding.faults.append(f"the log: {error}"[:300])
        return
    if not report.same:
        finding.faults.append(f"replay differs at line {report.difference.line_number if report.difference else '?'}")
    finding.faults += [f"the log: {note}" for note in report.notes]
    finding.fillers = sum(event.name == "filler" for event in recorder.events)
    switches = [event for event in recorder.events if isinstance(event, ProviderSwitched)]
    finding.switches = [f"{s.stage}: {s.previous}>{s.provider or 'none'} ({s.reason})" for s in switches]
    _judge_switches(case, switches, finding)
    outcomes = [command.outcome for command in recorder.commands if isinstance(command, EndCall)]
    expected = [CallOutcome.ESCALATED] if case.dead else [CallOutcome.COMPLETED]
    if outcomes != expected:
        finding.faults.append(f"the log ends with {[str(o) for o in outcomes]}")
    if case.dead:
        return
    failed = [event for event in recorder.events if isinstance(event, ReplyFailed)]
    finding.faults += [f"a reply failed ({event.stage})" for event in failed]
    finding.faults += history_faults(recorder.machine.messages())


def _judge_switches(case: Case, switches: list[ProviderSwitched], finding: Finding) -> None:
    ours = [switch for switch in switches if switch.stage.value == case.stage.value]
    if not ours:
        if case.must_switch:
            finding.faults.append("no failover in the log")
        return
    wanted = "" if case.dead else FALLBACKS[case.stage]
    if (ours[0].previous, ours[-1 if case.dead else 0].provider) != (HOSTED[case.stage], wanted):
        finding.faults.append(f"failovers: {finding.switches}")


def history_faults(messages: tuple[Message, ...]) -> list[str]:
    """What is wrong with the dialogue as the machine remembers it."""
    faults: list[str] = []
    for question, word, _ in QUESTIONS:
        at = next((n for n, m in enumerate(messages) if m.role is Role.CALLER and word in m.text.lower()), None)
        if at is None:
            faults.append(f"history lacks the question {question!r}")
            continue
        answers: list[Message] = []
        for message in messages[at + 1 :]:
            if message.role is Role.CALLER:
                break
            if message.role is Role.AGENT:
                answers.append(message)
        if not any(answer.text.strip() for answer in answers):
            faults.append(f"history lacks the answer to {question!r}")
        elif any(answer.interrupted for answer in answers):
            faults.append(f"history has a cut answer to {question!r}")
    return faults


async def _event_log(server: RunningServer, call_id: str) -> Path | None:
    """The call's log, once it is complete or some seconds have passed."""
    found: Path | None = None
    for _ in range(50):
        found = next((path for path in server.event_logs() if call_id in path.read_text()), None)
        if found is not None and '"call_end"' in found.read_text():
            return found
        await asyncio.sleep(0.1)
    return found


class _Recorder:
    """Builds the machine of a replay, and keeps what goes in and out."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.commands: list[Command] = []
        self.machine: CallMachine

    def build(self, header: Mapping[str, Any]) -> _Recorder:
        self.machine = CallMachine(decode_record(MachineSettings, header))
        return self

    def handle(self, event: Event, now: float) -> list[Command]:
        commands = self.machine.handle(event, now)
        self.events.append(event)
        self.commands += commands
        return commands
