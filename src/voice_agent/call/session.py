"""One live call: event → machine → commands, and the tasks that carry the commands out.

Theory of operation: everything that happens comes as an event into one bounded inbox. The loop takes an event, stamps it
with the call's time, logs it, asks the machine, logs each command and carries it out; carrying out never waits, it starts
or cancels tasks. All tasks belong to one task group, which ends with the call. One timer is armed at the machine's next
deadline.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Sequence
from typing import Any, assert_never

import structlog

from voice_agent.audio.echo import EchoMeter
from voice_agent.call.current_reply import CurrentReply
from voice_agent.call.door import Door
from voice_agent.call.identity import IdentityChecks
from voice_agent.call.listening import Listening
from voice_agent.call.playout import Playout
from voice_agent.call.services import CallServices
from voice_agent.call.tool_journal import ToolJournal
from voice_agent.call.vault import SecretVault
from voice_agent.conversation.agent import AgentProfile
from voice_agent.conversation.commands import (
    CancelReply,
    CheckCode,
    CheckSecret,
    Command,
    CommitTurn,
    Decide,
    DiscardSecret,
    DropTurn,
    EndCall,
    Escalate,
    ExpectSecret,
    Fill,
    FinaliseTranscript,
    OpenTurn,
    PausePlayout,
    ReleaseReply,
    ResumePlayout,
    Say,
    ScoreTurn,
    StartReply,
    StopForBargeIn,
    Understand,
)
from voice_agent.conversation.events import (
    CallerHungUp,
    CallStarted,
    CodeChecked,
    DtmfReceived,
    Event,
    SecondFactorAsked,
    SecretChecked,
    Stage,
    StageFailed,
    TimerFired,
    ToolReturned,
    ToolStarted,
    TransferFinished,
    TurnUnderstood,
)
from voice_agent.conversation.locales import LocaleProfile
from voice_agent.conversation.machine import CallMachine
from voice_agent.conversation.states import CallState
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import CallId, ReplyId
from voice_agent.observability.event_log import EntryT, EventLog, mask_entry
from voice_agent.observability.pii import Masker
from voice_agent.observability.record import RecordSink
from voice_agent.providers.asr.base import Final, Partial
from voice_agent.tools.base import ToolContext

# A call makes some tens of events a second; a backlog like this means that the loop has lost it.
INBOX_EVENTS = 1000
# A handover under way when the call ends may take this long to be recorded.
HAND_OVER_LIMIT_S = 2.0

_NO_AGENT_FILE = AgentProfile()

log = structlog.get_logger(__name__)


class CallSession:
    """A ``LiveCall``. ``run`` is the whole call, from the greeting to the last command."""

    def __init__(
        self,
        services: CallServices,
        door: Door,
        *,
        call_id: CallId,
        caller_id: str,
        locale: str,
        sinks: Sequence[RecordSink],
        agent: AgentProfile = _NO_AGENT_FILE,
    ) -> None:
        self._services = services
        self._agent = agent
        self._call_id = call_id
        self._caller_id = caller_id
        self._requested_locale = locale
        self._locale: LocaleProfile = agent.locale(locale)
        settings = agent.machine_settings(services.settings.machine)
        self._machine = CallMachine(settings)
        self._log = EventLog(call_id, sinks)
        self._masker = Masker()
        self._hears_draft = False
        self._vault = SecretVault(
            secret_digits=settings.secret_digits,
            order_digits=settings.endpointing.order_digits,
            mask=self._mask_heard,
            code_lengths=services.second_factor.code_lengths if services.second_factor else frozenset(),
        )
        self._identity = IdentityChecks(
            services.pins,
            services.second_factor,
            self._vault,
            call_id=call_id,
            caller_id=caller_id,
            locale=self._locale.tag,
        )
        self._inbox: asyncio.Queue[Event] = asyncio.Queue(INBOX_EVENTS)
        echo = EchoMeter()
        self._playout = Playout(
            door,
            services.clock,
            self.post,
            lead_s=services.settings.playout_lead_s,
            on_lost=lambda: self.post(CallerHungUp("lost")),
            lateness=services.lateness,
            played=echo.played,
        )
        self._listening = Listening(
            services,
            self.post,
            self._redact,
            locale=self._locale.asr_language,
            hints=self._locale.asr_hints,
            echo=echo,
        )
        self._journal = ToolJournal(
            services.tools, services.router, self._post_tool, self._start, self._masker.reveal_all
        )
        self._reply = CurrentReply(
            services,
            door,
            self._playout,
            self._journal,
            self.post,
            self._start,
            locale=self._locale,
            mask=self._masked,
            reveal=self._masker.reveal_all,
        )
        self._started_at = services.clock.now()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0  # call seconds
        self._rung = False  # a TimerFired is in the inbox
        self._group: asyncio.TaskGroup | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._understand_task: asyncio.Task[None] | None = None
        self._hand_over_task: asyncio.Task[None] | None = None
        self._overflowed = False

    # The door's side

    def hear(self, pcm: bytes) -> None:
        if self._machine.call is not CallState.ENDED:
            self._listening.hear(pcm)

    def press(self, key: str) -> None:
        if key.isdigit() and self._machine.keys_are_secret:
            if not (self._machine.checking_secret or self._machine.verified):
                self._vault.press(key)
            key = ""
        elif key.isdigit() and not self._vault.may_show(key, self._services.clock.now(), self._machine.waiting_for):
            return
        self.post(DtmfReceived(key))

    def acknowledge(self, reply_id: ReplyId, played_s: float) -> None:
        self._playout.acknowledge(reply_id, played_s)

    def resume(self) -> None:
        self._playout.resume_client()

    def hang_up(self, reason: str) -> None:
        self.post(CallerHungUp(reason))

    # The loop

    def post(self, event: Event) -> None:
        """Puts an event into the inbox; a full inbox ends the call, loudly."""
        if self._machine.call is CallState.ENDED:
            return
        try:
            self._inbox.put_nowait(event)
        except asyncio.QueueFull:
            if not self._overflowed:
                self._overflowed = True
                log.warning("inbox overflow: the call is ended", call_id=self._call_id, events=INBOX_EVENTS)

    async def run(self) -> None:
        """Returns when the call has ended; cancelling it ends the call as a shutdown. Never leaves a task behind."""
        structlog.contextvars.bind_contextvars(call_id=self._call_id)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._start(self._listening.run(), "listening")
                self._start(self._listening.fill_gaps(), "media-gaps")
                self._start(self._services.warmth.warm(), "warm-connections")
                self._begin()
                await self._converse()
                if self._hand_over_task is not None:  # a caller who hangs up at once still gets the callback
                    await asyncio.wait({self._hand_over_task}, timeout=HAND_OVER_LIMIT_S)
                await self._journal.finish()
                self._journal.abandon()
                for task in self._tasks:
                    task.cancel()
        except* Exception as failures:
            log.exception("call failed", call_id=self._call_id, exc_info=failures)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._close()
            self._journal.abandon()
            self._listening.close()
            self._playout.close()
            self._vault.close()
            self._masker.close()
            structlog.contextvars.unbind_contextvars("call_id")

    def _begin(self) -> None:
        if self._locale.tag.lower() != self._requested_locale.replace("_", "-").lower():
            log.warning("unknown locale: falling back", requested=self._requested_locale[:40], used=self._locale.tag)
        self._handle(
            CallStarted(
                self._call_id,
                self._caller_id,
                self._locale.tag,
                self._requested_locale,
                self._services.clock.wall().isoformat(timespec="milliseconds"),
                self._agent.name,
            )
        )

    async def _converse(self) -> None:
        while self._machine.call is not CallState.ENDED:
            self._arm()
            event = await self._inbox.get()
            if isinstance(event, TimerFired):
                self._rung = False
            self._handle(CallerHungUp("overflow") if self._overflowed else event)

    def _handle(self, event: Event) -> None:
        now = round(self._services.clock.now() - self._started_at, 6)
        self._log.append(now, event)
        for command in self._machine.handle(event, now):
            self._log.append(now, command)
            self._carry_out(command)

    def _arm(self) -> None:
        """Sees to a timer at the machine's next deadline, or before it: most deadlines move on before they are reached,
        and one that fires too early costs less than setting another at every event."""
        deadline = self._machine.deadline()
        if deadline is None or self._rung or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        # Rounded up to the milliseconds that event loops count in, or it would fire early again and again.
        delay_ms = max(1, math.ceil((self._started_at + deadline - self._services.clock.now()) * 1000))
        self._timer = asyncio.get_running_loop().call_later(delay_ms / 1000, self._ring)

    def _ring(self) -> None:
        self._timer = None
        deadline = self._machine.deadline()
        if deadline is not None and self._started_at + deadline <= self._services.clock.now():
            self._rung = True
            self.post(TimerFired())
        else:
            self._arm()

    def _close(self) -> None:
        """Where the loop did not end the call itself (a failure, a cancellation), the log still gets its end."""
        if self._machine.call is not CallState.ENDED:
            now = round(self._services.clock.now() - self._started_at, 6)
            cancelled = asyncio.current_task()
            reason = "shutdown" if cancelled is not None and cancelled.cancelling() else "error"
            event = CallerHungUp(reason)
            self._log.append(now, event)
            for command in self._machine.handle(event, now):
                self._log.append(now, command)

    # Carrying out

    def _carry_out(self, command: Command) -> None:
        match command:
            case OpenTurn():
                self._listening.open_utterance(command.utterance_id)
            case FinaliseTranscript():
                self._listening.finalise()
            case ScoreTurn():
                self._start(self._listening.score(command.utterance_id), "score-turn")
            case CommitTurn() | DropTurn():
                self._listening.close_utterance()
            case Understand():
                if self._understand_task is not None:
                    self._understand_task.cancel()
                self._understand_task = self._start(self._understand(command), "understand")
            case Say() | StartReply():
                self._reply.begin(command, self._machine.messages(), self._tool_context())
            case Fill():
                self._reply.fill(command.reply_id, command.text)
            case PausePlayout():
                self._playout.pause(command.reply_id)
            case ReleaseReply():
                self._reply.release(command.reply_id)
            case ResumePlayout():
                self._playout.unpause(command.reply_id, rewind_s=command.rewind_s)
            case StopForBargeIn() | CancelReply():
                self._reply.stop(command.reply_id)
            case CheckSecret():
                self._start(self._prove(self._identity.pin(command.digits)), "check-secret")
            case CheckCode():
                self._start(self._prove(self._identity.code(command.digits)), "check-code")
            case ExpectSecret():
                self._vault.expect(command.digits)
            case DiscardSecret():
                self._vault.discard()
            case Escalate():
                self._hand_over_task = self._start(self._hand_over(command), "hand-over")
            case Decide() | EndCall():
                pass  # for the record; the loop sees by itself that the call has ended
            case _:
                assert_never(command)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        assert self._group is not None, "tasks are started inside run()"
        task = self._group.create_task(work, name=f"{name}-{self._call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tool_context(self) -> ToolContext:
        return ToolContext(
            self._call_id,
            self._caller_id,
            self._machine.verified,
            self._locale.tag,
            tools=self._agent.tools,
            knowledge=self._agent.knowledge,
            prompts=self._locale.prompts,
        )

    def _masked(self, entry: EntryT) -> EntryT:
        return mask_entry(entry, self._masker.mask)

    def _mask_heard(self, text: str) -> str:
        return self._masker.mask(text, draft=self._hears_draft)

    def _post_tool(self, event: ToolStarted | ToolReturned) -> None:
        """A tool may end after the call has: the log has it all the same."""
        masked = self._masked(event)
        if self._machine.call is CallState.ENDED:
            self._log.append(round(self._services.clock.now() - self._started_at, 6), masked)
        else:
            self.post(masked)

    def _redact(self, heard: Partial | Final) -> tuple[str, int]:
        self._hears_draft = isinstance(heard, Partial)
        return self._vault.hear(
            heard.utterance_id,
            heard.text,
            partial=isinstance(heard, Partial),
            collecting=self._machine.collecting_secret,
            unverified=not self._machine.verified,
            asked=self._machine.waiting_for,
        )

    # Tasks

    async def _understand(self, command: Understand) -> None:
        try:
            async with asyncio.timeout(self._services.settings.understanding_s):
                meanings = await self._services.understanding.meanings(command.text, locale=self._locale.tag)
        except (TimeoutError, ProviderError) as error:
            category = error.category.value if isinstance(error, ProviderError) else "timeout"
            self.post(StageFailed(Stage.UNDERSTANDING, category, command.turn_id, command.request))
        except Exception:
            log.exception("understanding failed unexpectedly")
            category = ProviderFault.INTERNAL.value
            self.post(StageFailed(Stage.UNDERSTANDING, category, command.turn_id, command.request))
        else:
            self.post(TurnUnderstood(command.turn_id, meanings, command.request))

    async def _prove(self, check: Coroutine[Any, Any, SecretChecked | SecondFactorAsked | CodeChecked]) -> None:
        self.post(self._masked(await check))

    async def _hand_over(self, command: Escalate) -> None:
        try:
            receipt = await self._services.handover.record(command.packet)
        except Exception as error:
            log.exception("handover failed", call_id=self._call_id, error=type(error).__name__)
            self.post(TransferFinished(None))
        else:
            self.post(TransferFinished(receipt))
