"""Runs tool calls: the one place where a tool's declaration is enforced, whatever a language model asks for.

Every call gets exactly one ``ToolResult``; nothing but cancellation leaves ``run``. In this order: the tool must exist,
be one of the agent's and callable by the asker, the caller's identity must suffice, the arguments must fit the schema, the
caller must have agreed where the tool asks for that, fewer than ``at_once`` calls of the tool must be under way (others
wait, up to half the tool's time budget), and its circuit breaker must admit the call. Then the handler runs inside what is
left of the budget; reads are tried again after an exponential backoff with full jitter while the budget lasts, writes and a
breaker's probes never. A failed write is told as one of unknown outcome unless it is certain that it changed nothing. A
business answer ("no such order") is a success for the breaker. Who the caller is comes from ``ToolContext`` only. Text in a
result that tries to give orders is marked as what it is, before anybody reads it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import structlog

from voice_agent.clock import Clock
from voice_agent.config import ToolSettings
from voice_agent.conversation.locales import language_of, resolve_locale
from voice_agent.errors import BugError, ProviderError, ProviderFault, ToolError
from voice_agent.models import CONFIRMATION_REQUIRED, OUTCOME_UNKNOWN, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.circuit_breaker import BreakerState
from voice_agent.providers.understanding.planted import Marked, mark_data
from voice_agent.tools.base import SENSITIVE_TAG, IdentityLevel, ReadBack, Tool, ToolAnswer, ToolContext
from voice_agent.tools.breakers import BreakerStore, Outcome, ProcessBreakers
from voice_agent.tools.parsing import BadArgumentsError, parse_arguments
from voice_agent.tools.registry import ToolRegistry

log = structlog.get_logger(__name__)

READ_ATTEMPTS = 3
_BACKOFF_FIRST_S = 0.05  # a caller is waiting: the whole budget is about two seconds
_BACKOFF_FACTOR = 4.0

#: More than anybody wants to be told, and more than a model should be made to read in every later turn of the call.
ANSWER_MAX_BYTES = 65_536

_PROBLEM_MAX_CHARS = 1_000
_READ_AT_ONCE_BYTES = 1_500  # some twenty sentences, which take half a millisecond


class ToolRouter:
    """Shared by the process. ``breakers`` may be shared by several; ``jitter`` gives numbers in [0, 1)."""

    def __init__(
        self,
        registry: ToolRegistry,
        settings: ToolSettings,
        clock: Clock,
        *,
        breakers: BreakerStore | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._breakers = breakers or ProcessBreakers(settings, clock)
        self._jitter = jitter
        self._places: dict[str, asyncio.Semaphore] = {}

    def breaker_states(self) -> Mapping[str, BreakerState]:
        """The breaker of every tool that has been called."""
        return self._breakers.states()

    async def run(
        self, call: ToolCall, context: ToolContext, *, by_model: bool = True, confirmed: bool = False
    ) -> ToolResult:
        """Runs one call. ``by_model=False`` is for calls our own code makes: it may also use the agent's tools
        that are not offered to a model. ``confirmed``: the
        caller has agreed to exactly this call.

        Cancellation is safe for the router: the call then counts neither as success nor as failure.
        """
        started_s = self._clock.now()
        result = await self._run(call, context, by_model, confirmed)
        return replace(result, duration_ms=(self._clock.now() - started_s) * 1000)

    async def _run(self, call: ToolCall, context: ToolContext, by_model: bool, confirmed: bool) -> ToolResult:
        tool = self._registry.find(call.name)
        if tool is None or call.name not in context.tools or (by_model and not tool.model_callable):
            known = ", ".join(offered.name for offered in self._registry.offered(context.tools))
            return _refused(call, ToolStatus.DENIED, "unknown_tool", f"There is no such tool. Tools: {known}.")
        if tool.identity is IdentityLevel.VERIFIED and not context.verified:
            message = "The caller's identity must be verified with the PIN first."
            return _refused(call, ToolStatus.DENIED, "identity_required", message)
        arguments, problem = self._arguments(tool, call.arguments)
        if problem:
            return _refused(call, ToolStatus.INVALID, "bad_arguments", problem)
        if tool.read_back is not None and not confirmed:
            return _to_be_agreed(call, tool, tool.read_back, arguments, context)
        answer, reason = await self._within_limits(tool, arguments, context)
        if answer is None:
            return failed(call, tool, reason, context)
        status = ToolStatus.OK if answer.found else ToolStatus.BUSINESS_ERROR
        marked = await _marked(answer.data)
        if marked.rules:
            log.warning("tool_result_gives_orders", tool=tool.name, call_id=context.call_id, rules=marked.rules)
        return ToolResult(call.call_id, call.name, status, marked.data, answer.reason, planted=marked.rules)

    def _arguments(self, tool: Tool, text: str) -> tuple[Mapping[str, Any], str]:
        """The parsed arguments, or what is wrong with them."""
        try:
            arguments = parse_arguments(text)
        except BadArgumentsError as error:
            return {}, str(error)
        return arguments, "; ".join(self._registry.problems(tool.name, arguments))[:_PROBLEM_MAX_CHARS]

    async def _within_limits(
        self, tool: Tool, arguments: Mapping[str, Any], context: ToolContext
    ) -> tuple[ToolAnswer | None, str]:
        """The handler's answer, or ``None`` and why there is none. A call that finds the breaker open does not wait."""
        deadline_s = self._clock.now() + tool.timeout_s
        if self._breakers.states().get(tool.name) is BreakerState.OPEN:
            return None, "breaker_open"
        places = self._places.setdefault(tool.name, asyncio.Semaphore(tool.at_once))
        try:
            # The other half is for the work: what begins too late ends nowhere, and a write would have an unknown outcome.
            async with asyncio.timeout(tool.timeout_s / 2):
                await places.acquire()
        except TimeoutError:
            log.warning("tool_busy", tool=tool.name, call_id=context.call_id, at_once=tool.at_once)
            return None, "busy"
        try:
            admission = await self._breakers.admit(tool.name)
            if admission is None:
                return None, "breaker_open"
            outcome = Outcome.GIVEN_UP
            try:
                attempts = READ_ATTEMPTS if tool.read_only and not admission.probe else 1
                answer, reason = await self._attempt(tool, arguments, context, deadline_s, attempts)
                outcome = Outcome.FAILURE if answer is None else Outcome.SUCCESS
                return answer, reason
            finally:
                await self._breakers.settle(admission, outcome)
        finally:
            places.release()

    async def _attempt(
        self, tool: Tool, arguments: Mapping[str, Any], context: ToolContext, deadline_s: float, attempts: int
    ) -> tuple[ToolAnswer | None, str]:
        """The handler's answer by ``deadline_s``, or ``None`` and why there is none."""
        reason = ""
        try:
            async with asyncio.timeout(deadline_s - self._clock.now()):
                for attempt in range(1, attempts + 1):
                    try:
                        return _checked(await _called(tool, arguments, context)), ""
                    except Exception as error:
                        # Whatever a tool raises ends here: the caller hears the fallback, the log keeps the cause.
                        reason = _reason(tool, error)
                        _log_failure(tool, context, error, attempt)
                        if attempt == attempts or not _worth_retrying(error):
                            break
                    pause_s = self._jitter() * _BACKOFF_FIRST_S * _BACKOFF_FACTOR ** (attempt - 1)
                    if self._clock.now() + pause_s >= deadline_s:
                        break  # nothing would be left for another attempt: the caller need not wait for that
                    await asyncio.sleep(pause_s)
        except TimeoutError as error:
            reason = _reason(tool, error)
            _log_failure(tool, context, error, 0)
        return None, reason


async def _called(tool: Tool, arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
    """The handler's answer. A handler that raises ``CancelledError`` of its own, with nobody cancelling us, failed."""
    try:
        return await tool.handler(arguments, context)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise TimeoutError("the tool cancelled its own work") from None


def _checked(answer: ToolAnswer) -> ToolAnswer:
    """Raises ``BugError`` unless the handler kept its part: the data must be JSON-able, and no more than can be used."""
    if not isinstance(answer, ToolAnswer):
        raise BugError(f"a tool's handler gave {type(answer).__name__} instead of a ToolAnswer")
    try:
        size_bytes = len(orjson.dumps(dict(answer.data)))
    except (TypeError, ValueError) as error:
        raise BugError(f"a tool's data is not JSON-able: {error}") from None
    if size_bytes > ANSWER_MAX_BYTES:
        raise BugError(f"a tool's data has {size_bytes} bytes: at most {ANSWER_MAX_BYTES} are of use.")
    return answer


async def _marked(data: Mapping[str, Any]) -> Marked:
    """The data with planted instructions in brackets; looked through in a thread where there is much of it."""
    if len(orjson.dumps(dict(data))) <= _READ_AT_ONCE_BYTES:
        return mark_data(dict(data))
    return await asyncio.to_thread(mark_data, dict(data))


def _reason(tool: Tool, error: Exception) -> str:
    """Why a call failed. What changes something may have done so, unless its error says that it has not."""
    undone = isinstance(error, ProviderError | ToolError) and error.undone
    if not tool.read_only and not undone:
        return OUTCOME_UNKNOWN
    late = isinstance(error, TimeoutError) or (
        isinstance(error, ProviderError) and error.category is ProviderFault.TIMEOUT
    )
    return "timeout" if late else "error"


def _worth_retrying(error: Exception) -> bool:
    if isinstance(error, ProviderError):
        return error.retryable
    return not isinstance(error, BugError)


def _log_failure(tool: Tool, context: ToolContext, error: Exception, attempt: int) -> None:
    log.warning(
        "tool_attempt_failed",
        tool=tool.name,
        call_id=context.call_id,
        attempt=attempt,
        error_type=type(error).__name__,
        error="(hidden)" if SENSITIVE_TAG in tool.tags else str(error)[:200],
    )


def _to_be_agreed(
    call: ToolCall, tool: Tool, read_back: ReadBack, arguments: Mapping[str, Any], context: ToolContext
) -> ToolResult:
    """The caller is to be asked; where the question cannot be made, the tool does not work."""
    try:
        question = read_back(arguments, context.locale)
    except Exception as error:  # a source's own code: whatever it raises, nothing may run unasked
        _log_failure(tool, context, error, 0)
        return failed(call, tool, "error", context)
    message = "The caller must agree first. The question is being asked; do not ask it yourself."
    return _refused(call, ToolStatus.DENIED, CONFIRMATION_REQUIRED, message, spoken=question)


def _refused(call: ToolCall, status: ToolStatus, reason: str, message: str, *, spoken: str = "") -> ToolResult:
    return ToolResult(call.call_id, call.name, status, {"error": message}, reason, spoken)


def failed(call: ToolCall, tool: Tool, reason: str, context: ToolContext) -> ToolResult:
    """A failure in the model's words and the caller's."""
    locale = resolve_locale(context.locale)
    prompts = context.prompts or locale.prompts
    own, general = tool.fallback, prompts.tool_failed
    told = "The tool does not work at the moment."
    if reason == OUTCOME_UNKNOWN:
        own, general = tool.unsure, prompts.tool_unsure
        told = "Nobody knows whether this was done. Look it up, if a tool can tell, before you claim either."
    spoken = own if own and language_of(locale.tag) == "en" else general
    return ToolResult(call.call_id, call.name, ToolStatus.FAILED, {"error": told}, reason, spoken)
