"""Plays a call to the machine on virtual time: due timers fire by themselves, and a compliant world answers commands.

The world is the part that a session and its providers play: it speaks replies at once when told to, understands turns as
told, checks PINs. Each piece can be left to the test by switching it off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from voice_agent.conversation import commands as c
from voice_agent.conversation import events as e
from voice_agent.conversation.machine import CallMachine, MachineSettings
from voice_agent.models import (
    CallId,
    Meaning,
    MeaningScore,
    SecretOutcome,
    TransferReceipt,
)

CommandT = TypeVar("CommandT")

CHARS_PER_S = 15.0


@dataclass
class Driver:
    """``now`` is call seconds. ``meanings`` and ``answers`` say what the next turns mean and what the model replies."""

    settings: MachineSettings = field(default_factory=MachineSettings)
    answer: str = "Here is your answer."
    meaning: Meaning = Meaning.NONE
    secret: SecretOutcome = SecretOutcome.VERIFIED
    code_digits: int = 0  # of the second factor that follows a right PIN; 0: none
    code: SecretOutcome = SecretOutcome.VERIFIED
    score: float | None = 0.95
    plays: bool = True
    level_dbfs: float | None = None
    echo: float | None = None
    now: float = 0.0
    log: list[tuple[float, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = CallMachine(self.settings)
        self._playing: tuple[int, float, float] | None = None  # reply, started at, duration
        self._held: tuple[int, float] | None = None  # paused reply, seconds left
        self._draft: tuple[int, tuple[str, ...]] | None = None
        self._utterance = 0

    # Driving

    def start(self) -> Driver:
        self.feed(e.CallStarted(CallId("c1"), "+15550100", "en-US", "en-US", "2026-01-01T00:00:00Z"))
        return self

    def feed(self, event: e.Event) -> list[c.Command]:
        commands = self.machine.handle(event, self.now)
        self.log.extend((self.now, command) for command in commands)
        for command in commands:
            self._react(command)
        return commands

    def wait(self, seconds: float) -> None:
        """Lets time pass, timer by timer and reply end by reply end."""
        until = self.now + seconds
        for _ in range(10_000):
            ends_at = self._playing[1] + self._playing[2] if self._playing else None
            due = [at for at in (self.machine.deadline(), ends_at) if at is not None and at <= until]
            if not due:
                break
            self.now = max(self.now, min(due))
            if ends_at is not None and ends_at <= self.now:
                self._finish()
            else:
                self.feed(e.TimerFired())
        else:
            raise AssertionError("the machine keeps asking for the same moment")
        self.now = until

    def says(self, text: str, *, lasting: float = 1.0, secret_digits: int = 0, partial: bool = False) -> None:
        """A burst of speech, recognised, followed by silence long enough for any rule."""
        self.begins()
        if partial:
            self.wait(min(0.3, lasting / 2))
            self.feed(e.TranscriptPartial(self._utterance, text))
            lasting -= min(0.3, lasting / 2)
        self.wait(lasting - 0.06 if lasting > 0.06 else 0.0)
        self.pauses(text, secret_digits=secret_digits)
        self.wait(2.0)

    def begins(self) -> None:
        self.feed(e.SpeechStarted(0.06, self.level_dbfs, self.echo))

    def hears(self, text: str, *, confidence: float = 0.9, secret_digits: int = 0) -> None:
        """A partial of what the caller is saying."""
        self.feed(e.TranscriptPartial(self._utterance, text, secret_digits, confidence, self.level_dbfs, self.echo))

    def pauses(self, text: str, *, secret_digits: int = 0, voiced_s: float = 0.9) -> None:
        self.wait(0.16)
        self.feed(e.SpeechStopped(0.16, voiced_s, self.level_dbfs, self.echo))
        self.wait(0.07)
        if self.score is not None:
            self.feed(e.TurnScored(self._utterance, self.score))
        self.feed(e.TranscriptFinal(self._utterance, text, 0.9, secret_digits))

    # The world

    def _react(self, command: c.Command) -> None:
        match command:
            case c.OpenTurn():
                self._utterance = command.utterance_id
            case c.Understand():
                accepted = self.meaning is not Meaning.NONE
                scores = (MeaningScore(self.meaning, 0.9, accepted, "an example"),)
                self.feed(e.TurnUnderstood(command.turn_id, scores, command.request))
            case c.CheckSecret() if self.secret is SecretOutcome.VERIFIED and self.code_digits:
                self.feed(e.SecondFactorAsked(self.code_digits, "It is in your app."))
            case c.CheckSecret():
                self.feed(e.SecretChecked(self.secret, 2))
            case c.CheckCode():
                self.feed(e.CodeChecked(self.code, 2))
            case c.Escalate():
                self.feed(e.TransferFinished(TransferReceipt("CB-23467", connected=False)))
            case c.Say() | c.StartReply():
                texts = command.segments if isinstance(command, c.Say) else (self.answer,)
                if isinstance(command, c.StartReply) and command.draft:
                    self._draft = (command.reply_id, texts)
                elif self.plays:
                    self._play(command.reply_id, texts)
            case c.ReleaseReply():
                assert self._draft is not None
                assert self._draft[0] == command.reply_id
                if self.plays:
                    self._play(*self._draft)
            case c.PausePlayout() if self._playing and self._playing[0] == command.reply_id:
                reply_id, started, duration = self._playing
                self._playing, self._held = None, (reply_id, started + duration - self.now)
            case c.ResumePlayout() if self._held and self._held[0] == command.reply_id:
                self._playing, self._held = (self._held[0], self.now, self._held[1]), None
            case c.StopForBargeIn() | c.CancelReply():
                self._playing = self._held = None
            case _:
                pass

    def _play(self, reply_id: int, texts: tuple[str, ...]) -> None:
        total = 0.0
        for index, text in enumerate(texts):
            self.feed(e.SegmentWritten(reply_id, index, text))
            self.feed(e.SynthesisFinished(reply_id, index, len(text) / CHARS_PER_S))
            total += len(text) / CHARS_PER_S
        self._total = total
        self.feed(e.PlayoutStarted(reply_id))
        self._playing = (reply_id, self.now, total)

    def _finish(self) -> None:
        assert self._playing is not None
        reply_id, _, _ = self._playing
        self._playing = None
        self.feed(e.ReplyFinished(reply_id, self._total))

    # Looking

    def all(self, kind: type[CommandT]) -> list[CommandT]:
        return [command for _, command in self.log if isinstance(command, kind)]

    def last(self, kind: type[CommandT]) -> CommandT:
        found = self.all(kind)
        assert found, f"no {kind.__name__} in {[type(command).__name__ for _, command in self.log]}"
        return found[-1]

    def said(self) -> str:
        """The newest fixed words of the agent."""
        return " ".join(self.last(c.Say).segments)
