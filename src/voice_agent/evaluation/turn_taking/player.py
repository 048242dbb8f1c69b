"""Plays scripted calls against a server, in real time, several at once.

Theory of operation. A step waits for its moment (the agent silent, or heard for so long), is said, and is noted as an act
with its true times. Nothing is judged here. A step whose moment does not come is left out and noted as a problem; a call
that ends early is followed by another with the steps that are left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from voice_agent.errors import CallError
from voice_agent.evaluation.caller import CallFrame, CallOptions, SimulatedCaller
from voice_agent.evaluation.caller_audio import voiced_span
from voice_agent.evaluation.caller_line import CallerLine
from voice_agent.evaluation.caller_noises import noise_bed
from voice_agent.evaluation.turn_taking.compose import pauses_in
from voice_agent.evaluation.turn_taking.measures import ANSWER_WITHIN_S, KEPT_PAUSE_S, RESPONSE_WINDOW_S
from voice_agent.evaluation.turn_taking.script import DEMO_PIN, Script, Step
from voice_agent.evaluation.turn_taking.timeline import CallerAct, CallTimeline, Kind, Mark

_QUIET_S = 0.4  # how long the agent is silent before a caller takes the floor
_PATIENCE_S = 25.0  # the longest answer, and some more
_LISTEN_S = 3.0  # how long an echo step listens
_AFTER_S = 0.3  # what is kept of a call behind the last window
_BED_S = 20.0
_BUSY_RETRIES = 10
_BUSY_WAIT_S = 3.0

OnCall = Callable[[Script, CallTimeline], None]


class ScriptPlayer:
    """Places calls at ``url``. ``on_call`` gets each call's timeline as it ends. A server that is busy is asked again
    after ``busy_wait_s``."""

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        on_call: OnCall = lambda script, call: None,
        busy_wait_s: float = _BUSY_WAIT_S,
    ) -> None:
        self._url = url
        self._token = token
        self._on_call = on_call
        self._busy_wait_s = busy_wait_s

    async def play_all(self, scripts: Sequence[Script], parallel: int) -> list[CallTimeline]:
        """All scripts, at most ``parallel`` at once; timelines in the scripts' order. Raises ``CallError`` where a server
        does not take calls at all."""
        gate = asyncio.Semaphore(parallel)

        async def one(script: Script) -> list[CallTimeline]:
            async with gate:
                return await self.play(script)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(script), name=f"bench-{script.name}") for script in scripts]
        except* CallError as failed:
            raise CallError(str(failed.exceptions[0])) from None
        return [call for task in tasks for call in task.result()]

    async def play(self, script: Script) -> list[CallTimeline]:
        """One script: one call, or more where the server ends a call before its last step. A server that is too busy is
        asked again; raises ``CallError`` where it stays so."""
        calls: list[CallTimeline] = []
        left = script
        refused = 0
        while left.steps:
            part = _CallPart(left if not calls else replace(left, name=f"{script.name} (call {len(calls) + 1})"))
            async with SimulatedCaller(self._url, self._options(script), line=_line(script)) as caller:
                await part.play(caller)
                call = part.timeline(caller)
            if not call.call_id:
                refused += 1
                if refused > _BUSY_RETRIES:
                    raise CallError(f"the server refuses calls: {caller.closed}")
                await asyncio.sleep(self._busy_wait_s)
                continue
            calls.append(call)
            self._on_call(script, call)
            left = replace(
                left, steps=left.steps[max(1, part.done) :]
            )  # a step on which a call ends is not tried again
        return calls

    def _options(self, script: Script) -> CallOptions:
        rate_hz = script.line.rate_hz
        return CallOptions(
            caller_id=script.caller_id,
            in_rate_hz=rate_hz,
            out_rate_hz=rate_hz if script.line.echo or rate_hz < 16_000 else 24_000,
            token=self._token,
        )


class _CallPart:
    """One call of a script. ``done`` counts the steps that were taken or left out."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._acts: list[CallerAct] = []
        self._problems: list[str] = []
        self.done = 0

    async def play(self, caller: SimulatedCaller) -> None:
        try:
            if self._script.opening:
                await self._prove_identity(caller)
            for step in self._script.steps:
                if not await self._take(caller, step):
                    break
                self.done += 1
            await self._let_the_last_window_pass(caller)
            if caller.closed is None:
                await caller.hang_up()
        except CallError as error:
            self.done += 1  # a step that breaks a call is not tried again
            self._problems.append(str(error))

    def timeline(self, caller: SimulatedCaller) -> CallTimeline:
        began_s = caller.started_s
        ends_s = (caller.closed.at_s if caller.closed else caller.now()) - began_s
        session = caller.frames("session")
        lags = [frame.at_s - began_s - frame.data["t"] for frame in caller.events if "t" in frame.data]
        return CallTimeline(
            name=self._script.name,
            family=self._script.family,
            call_id=str(session[0]["call_id"]) if session else "",
            acts=tuple(self._acts),
            played=tuple((a - began_s, min(b - began_s, ends_s)) for a, b in caller.playback.played_spans()),
            sound=tuple((a - began_s, b - began_s) for a, b in caller.playback.sound_spans()),
            marks=tuple(mark for frame in caller.events if (mark := _mark(frame, began_s)) is not None),
            ends_s=ends_s,
            log_offset_s=min(lags) if lags else None,
            worst_lateness_s=caller.worst_lateness_s,
            problem="; ".join(self._problems),
        )

    async def _prove_identity(self, caller: SimulatedCaller) -> None:
        """Asks for an order and keys in the PIN, as the agent then asks for it."""
        await _wait_until_quiet(caller)
        await caller.say(self._script.opening)
        await caller.wait_for("state", lambda state: state["waiting_for"] == "pin", timeout_s=_PATIENCE_S)
        begun = len(caller.events)
        for digit in DEMO_PIN:
            await caller.press(digit)
        await caller.wait_for("state", lambda state: bool(state["verified"]), since=begun, timeout_s=_PATIENCE_S)
        await caller.wait_for_agent_to_finish(timeout_s=_PATIENCE_S, since_s=caller.now())

    async def _take(self, caller: SimulatedCaller, step: Step) -> bool:
        """Plays one step, or leaves it out; false where the call had ended before."""
        if step.heard_s is None:
            await self._wait_for_silence(caller)
        elif not await self._agent_is_heard(caller, step.heard_s) and not step.kind.wants_the_floor:
            self._problems.append(f"{step.label!r} was left out: the agent was silent")
            return True
        if caller.closed is not None:
            return False
        if step.kind is Kind.ECHO:
            start_s = caller.now() - caller.started_s
            await caller.stay(_LISTEN_S)
            self._acts.append(CallerAct(step.kind, step.label, step.variant, start_s, start_s + _LISTEN_S))
            return True
        utterance = caller.begin(step.pcm)
        rate_hz = caller.options.in_rate_hz
        begin_s = utterance.start_s - caller.started_s
        span = voiced_span(step.pcm, rate_hz) or (0.0, 0.0)
        self._acts.append(
            CallerAct(
                step.kind,
                step.label,
                step.variant,
                begin_s + span[0],
                begin_s + span[1],
                tuple((begin_s + a, begin_s + b) for a, b in pauses_in(step.pcm, rate_hz)),
                step.expects_answer and step.kind.wants_the_floor,
            )
        )
        while not utterance.sent.is_set() and caller.closed is None:
            await caller.stay(0.02)
        return True

    async def _wait_for_silence(self, caller: SimulatedCaller) -> None:
        """The last act's consequences are over, and the agent is silent."""
        if self._acts:
            last = self._acts[-1]
            since_s = last.end_s + caller.started_s
            if last.expects_answer:
                await _first_sound(caller, since_s, since_s + ANSWER_WITHIN_S)
            elif not last.meant_as.wants_the_floor:
                await caller.stay(since_s + RESPONSE_WINDOW_S + _AFTER_S - caller.now())
            else:
                await caller.stay(since_s + KEPT_PAUSE_S + _QUIET_S - caller.now())
        await _wait_until_quiet(caller)

    async def _agent_is_heard(self, caller: SimulatedCaller, heard_s: float) -> bool:
        """Waits for the step's moment; whether the agent is audible then."""
        last = self._acts[-1] if self._acts else None
        if last is None or last.meant_as.wants_the_floor:
            since_s = caller.started_s if last is None else last.end_s + caller.started_s
            first_s = await _first_sound(caller, since_s, since_s + ANSWER_WITHIN_S)
            if first_s is None:
                return False
            await caller.stay(first_s + heard_s - caller.now())
        else:
            await caller.stay(last.end_s + caller.started_s + heard_s - caller.now())
        heard_until_s = caller.playback.sound_ends_at_s(before_s=caller.now() + 0.1)
        return heard_until_s is not None and heard_until_s > caller.now() - _QUIET_S

    async def _let_the_last_window_pass(self, caller: SimulatedCaller) -> None:
        """Stays until what follows the last act can be judged."""
        if not self._acts or caller.closed is not None:
            return
        last = self._acts[-1]
        end_s = last.end_s + caller.started_s
        if last.expects_answer and last.meant_as.wants_the_floor:
            await _first_sound(caller, end_s, end_s + ANSWER_WITHIN_S)
            await caller.stay(_AFTER_S)
        else:
            await caller.stay(end_s + RESPONSE_WINDOW_S + _AFTER_S - caller.now())


async def _wait_until_quiet(caller: SimulatedCaller) -> None:
    """The server says that the agent is idle, and nothing was audible for ``_QUIET_S``. Raises ``CallError``."""
    deadline_s = caller.now() + _PATIENCE_S
    while caller.closed is None:
        states = caller.frames("state")
        idle = bool(states) and states[-1]["agent"] == "idle"
        heard_until_s = caller.playback.sound_ends_at_s() or caller.started_s
        if idle and caller.now() >= heard_until_s + _QUIET_S and len(caller.playback.played_spans()) > 0:
            return
        if caller.now() > deadline_s:
            raise CallError(f"the agent was not silent within {_PATIENCE_S:g} s")
        await caller.stay(0.05)


async def _first_sound(caller: SimulatedCaller, after_s: float, until_s: float) -> float | None:
    """When the agent is first heard of what arrives after ``after_s``; None where it is silent until ``until_s``."""
    while caller.closed is None and caller.now() < until_s:
        heard = caller.playback.first_sound_after(after_s)
        if heard is not None:
            return heard.played_s
        await caller.stay(min(0.05, until_s - caller.now()))
    return None


def _line(script: Script) -> CallerLine | None:
    line = script.line
    if line.noise_dbfs is None and line.echo is None:
        return None
    bed = noise_bed(line.noise_seed, _BED_S, line.rate_hz) if line.noise_dbfs is not None else None
    return CallerLine(noise=bed, noise_dbfs=line.noise_dbfs or 0.0, echo=line.echo)


def _mark(frame: CallFrame, began_s: float) -> tuple[float, Mark] | None:
    at_s = frame.at_s - began_s
    if frame.type == "interruption" and frame.data.get("action") in ("pause", "resume", "stop"):
        return at_s, Mark(frame.data["action"])
    if frame.type == "clear":
        return at_s, Mark.CLEAR
    if frame.type == "agent_heard":
        return at_s, Mark.CUT if frame.data.get("interrupted") else Mark.FINISHED
    return None
