"""Plays a scripted call to the machine and records it as a session would: an event, then the commands it caused.

The world around the machine (recogniser, language model, synthesiser, playout) is scripted and exact, so the same script
and the same machine give the same file, byte for byte.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voice_agent.agents.agent_file import load_agent
from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.machine import CallMachine, MachineSettings
from voice_agent.conversation.states import CallState
from voice_agent.models import (
    CallId,
    Meaning,
    MeaningScore,
    ReplyId,
    SecretOutcome,
    ToolCall,
    ToolResult,
    ToolStatus,
    TransferReceipt,
    UtteranceId,
)
from voice_agent.observability.event_log import EventLog, call_header, header_line, mask_entry, record_line
from voice_agent.observability.record import LogRecord

_CHARS_PER_S = 16.0
_PLAYOUT_STEP_S = 0.5


@dataclass(frozen=True)
class Utterance:
    """What the caller says from ``at``, and what the world makes of it."""

    at: float
    text: str
    lasting: float = 1.0
    meaning: Meaning = Meaning.NONE
    secret_digits: int = 0
    answer: tuple[str, ...] = ("Here is your answer.",)
    tool: ToolResult | None = None


@dataclass(frozen=True)
class Script:
    utterances: Sequence[Utterance]
    keys: Sequence[tuple[float, str]] = ()
    hang_up_at: float | None = None
    secret: SecretOutcome = SecretOutcome.VERIFIED
    codes: tuple[SecretOutcome, ...] = ()  # what becomes of each code of six digits; without any, the PIN is enough
    settings: MachineSettings = field(default_factory=lambda: load_agent(None).machine_settings(MachineSettings()))
    caller_id: str = "demo-1001"
    limit_s: float = 120.0


class _World:
    """Answers commands with events at exact times. ``due`` is a heap of (time, order, reply, event)."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.due: list[tuple[float, int, ReplyId | None, e.Event]] = []
        self._order = 0
        self._held: dict[ReplyId, float] = {}
        self._heard: Utterance | None = None
        self._utterance: UtteranceId | None = None
        self._codes = list(script.codes)
        for utterance in script.utterances:
            self.post(utterance.at + 0.0625, e.SpeechStarted(voiced_s=0.0625))
            stop = utterance.at + utterance.lasting + 0.15625
            self.post(stop, e.SpeechStopped(silence_s=0.15625, voiced_s=utterance.lasting))
        for at, key in script.keys:
            self.post(at, e.DtmfReceived(key))
        if script.hang_up_at is not None:
            self.post(script.hang_up_at, e.CallerHungUp("hangup"))

    def post(self, at: float, event: e.Event, reply_id: ReplyId | None = None) -> None:
        self._order += 1
        heapq.heappush(self.due, (at, self._order, reply_id, event))

    def react(self, command: c.Command, now: float) -> None:
        match command:
            case c.OpenTurn():
                self._utterance = command.utterance_id
                spoken = [u for u in self.script.utterances if u.at <= now]
                self._heard = spoken[-1] if spoken else self._heard
                if self._heard is not None and self._heard.lasting >= 0.75:
                    words = " ".join(self._heard.text.split()[:2])
                    self.post(now + 0.4375, e.TranscriptPartial(command.utterance_id, words))
            case c.FinaliseTranscript() if self._heard is not None:
                text, digits = self._heard.text, self._heard.secret_digits
                self.post(now + 0.078125, e.TranscriptFinal(command.utterance_id, text, 0.9375, digits))
            case c.ScoreTurn():
                self.post(now + 0.03125, e.TurnScored(command.utterance_id, 0.96875))
            case c.Understand():
                meaning = self._heard.meaning if self._heard is not None else Meaning.NONE
                score = MeaningScore(meaning, 0.875, meaning is not Meaning.NONE, "an example")
                self.post(now + 0.015625, e.TurnUnderstood(command.turn_id, (score,), command.request))
            case c.CheckSecret() if self.script.codes:
                self.post(now + 0.125, e.SecondFactorAsked(6, "It is in your app."))
            case c.CheckCode():
                outcome, *self._codes = self._codes
                self.post(now + 0.0625, e.CodeChecked(outcome, 3 if outcome is SecretOutcome.VERIFIED else 2))
            case c.CheckSecret():
                left = 3 if self.script.secret is SecretOutcome.VERIFIED else 2
                self.post(now + 0.0625, e.SecretChecked(self.script.secret, left))
            case c.Escalate():
                self.post(now + 0.0625, e.TransferFinished(TransferReceipt("CB-23467", connected=False)))
            case c.Say():
                self._speak(command.reply_id, command.segments, now)
            case c.StartReply():
                self._generate(command, now)
                if command.draft:
                    self._held[command.reply_id] = now
            case c.StopForBargeIn() | c.CancelReply():
                self._take(command.reply_id)
                self._held.pop(command.reply_id, None)
            case c.PausePlayout():
                self._held[command.reply_id] = now
            case c.ResumePlayout() | c.ReleaseReply():
                self._resume(command.reply_id, now)
            case _:
                pass

    def is_held(self, reply_id: ReplyId | None) -> bool:
        return reply_id in self._held

    def _take(self, reply_id: ReplyId) -> list[tuple[float, int, ReplyId | None, e.Event]]:
        taken = sorted(entry for entry in self.due if entry[2] == reply_id)
        self.due = [entry for entry in self.due if entry[2] != reply_id]
        heapq.heapify(self.due)
        return taken

    def _resume(self, reply_id: ReplyId, now: float) -> None:
        paused_s = now - self._held.pop(reply_id, now)
        for at, _, _, event in self._take(reply_id):
            self.post(at + paused_s, event, reply_id)

    def _generate(self, command: c.StartReply, now: float) -> None:
        reply_id, heard = command.reply_id, self._heard
        segments = heard.answer if heard is not None else ("Pardon?",)
        self.post(now, e.LlmStarted(reply_id, 1), reply_id)
        calls: tuple[ToolCall, ...] = ()
        at = now + 0.125
        if heard is not None and heard.tool is not None:
            calls = (ToolCall(heard.tool.call_id, heard.tool.name, '{"order_id":"83102"}'),)
            self.post(at, e.LlmFinished(reply_id, 1, "", calls), reply_id)
            self.post(at, e.ToolStarted(reply_id, calls[0]), reply_id)
            self.post(at + 0.0625, e.ToolReturned(reply_id, heard.tool), reply_id)
            self.post(at + 0.0625, e.LlmStarted(reply_id, 2), reply_id)
            at += 0.125
        self.post(at, e.LlmFinished(reply_id, 2 if calls else 1, " ".join(segments)), reply_id)
        spoken = (command.lead_in, *segments) if command.lead_in else segments
        self._speak(reply_id, spoken, at)

    def _speak(self, reply_id: ReplyId, segments: Sequence[str], at: float) -> None:
        total = 0.0
        for index, text in enumerate(segments):
            ready = at + 0.125 * (index + 1)
            duration = round(len(text) / _CHARS_PER_S * 16) / 16
            self.post(at, e.SegmentWritten(reply_id, index, text), reply_id)
            self.post(at, e.SynthesisStarted(reply_id, index), reply_id)
            self.post(ready, e.SynthesisBegan(reply_id, index), reply_id)
            self.post(ready, e.SynthesisFinished(reply_id, index, duration), reply_id)
            total += duration
        begins = at + 0.125
        self.post(begins, e.PlayoutStarted(reply_id), reply_id)
        heard = _PLAYOUT_STEP_S
        while heard < total:
            self.post(begins + heard, e.PlayoutAdvanced(reply_id, heard), reply_id)
            heard += _PLAYOUT_STEP_S
        self.post(begins + total, e.ReplyFinished(reply_id, total), reply_id)


def record(script: Script, path: Path) -> list[LogRecord]:
    """Plays the script until the call ends and writes its event file. Gives the records, too."""
    records: list[LogRecord] = []
    log = EventLog(CallId("golden"), [records.append])
    machine, world = CallMachine(script.settings), _World(script)
    now = 0.0
    event: e.Event = e.CallStarted(
        CallId("golden"), script.caller_id, "en-US", "en-US", "2026-01-01T00:00:00.000+00:00"
    )
    while True:
        event = mask_entry(event)  # as the session does before anybody sees it
        log.append(now, event)
        for command in machine.handle(event, now):
            log.append(now, command)
            world.react(command, now)
        if machine.call is CallState.ENDED:
            break
        now, event = _next(world, machine, now)
        assert now <= script.limit_s, "the scripted call does not end"
    lines = [header_line(call_header("golden", script.settings)), *map(record_line, records)]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return records


def _next(world: _World, machine: CallMachine, now: float) -> tuple[float, e.Event]:
    """The world's next event or the machine's deadline, whichever comes first; held replies wait."""
    deadline = machine.deadline()
    ready = sorted(entry for entry in world.due if not world.is_held(entry[2]))
    if ready and (deadline is None or ready[0][0] <= deadline):
        world.due.remove(ready[0])
        heapq.heapify(world.due)
        return max(now, ready[0][0]), ready[0][3]
    assert deadline is not None, "nothing more can happen and the call has not ended"
    return max(now, deadline), e.TimerFired()


ORDER = ToolResult(
    "call-1", "order_status", ToolStatus.OK, {"order_id": "83102", "status": "in_transit"}, duration_ms=12.5
)

SCRIPTS: dict[str, Script] = {
    "order_with_pin": Script(
        [
            Utterance(7.0, "Where is my order 83102?", meaning=Meaning.NEEDS_IDENTITY),
            Utterance(15.0, "[PIN]", secret_digits=4, answer=("It is on its way to you.",), tool=ORDER),
            Utterance(24.0, "What is your return policy?", answer=("You can return goods within thirty days.",)),
        ],
        hang_up_at=32.0,
    ),
    "interrupted_and_handed_over": Script(
        [
            Utterance(7.0, "What is your return policy?", answer=("You can return goods within thirty days.",) * 4),
            Utterance(11.0, "mm-hmm", lasting=0.3),
            Utterance(14.0, "wait, I want to talk to a human", lasting=1.5, meaning=Meaning.HUMAN_WANTED),
        ],
    ),
    "keypad_and_silence": Script(
        [Utterance(7.0, "Where is my parcel?", meaning=Meaning.NEEDS_IDENTITY)],
        keys=[(15.0, ""), (15.5, ""), (16.0, ""), (16.5, "")],
        secret=SecretOutcome.WRONG,
    ),
    "order_with_second_factor": Script(
        [
            Utterance(7.0, "Where is my order 83102?", meaning=Meaning.NEEDS_IDENTITY),
            Utterance(15.0, "[PIN]", secret_digits=4),
            Utterance(25.0, "What code?", lasting=0.5),
            Utterance(34.0, "[PIN]", secret_digits=3),
            Utterance(37.5, "[PIN]", secret_digits=3),
            Utterance(46.0, "[PIN]", secret_digits=6, answer=("It is on its way to you.",), tool=ORDER),
        ],
        codes=(SecretOutcome.WRONG, SecretOutcome.VERIFIED),
        hang_up_at=54.0,
    ),
}
"""The calls in this folder; ``python -m tests.golden.recorder`` records them again."""


if __name__ == "__main__":
    for name, script in SCRIPTS.items():
        record(script, Path(__file__).parent / f"{name}.jsonl")
