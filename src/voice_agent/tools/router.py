"""Runs tool calls: the one place where a tool's declaration is enforced, whatever a language model asks for.

Every call gets exactly one ``ToolResult``; nothing but cancellation leaves ``run``. In this order: the tool must exist
and be callable by the asker, the caller's identity must suffice, the arguments must fit the schema, the caller must
have agreed where the tool asks for that, the tool's circuit breaker must admit the call. Then the handler runs inside
the tool's time budget; reads are tried again after an exponential backoff with full jitter while the budget lasts,
writes never. A business answer ("no such order") is a success for the breaker. Who the caller is comes from
``ToolContext`` only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog

from voice_agent.clock import Clock
from voice_agent.config import ToolSettings
from voice_agent.errors import BugError, ProviderError
from voice_agent.models import CONFIRMATION_REQUIRED, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.circuit_breaker import BreakerState, CircuitBreaker
from voice_agent.tools.base import SENSITIVE_TAG, IdentityLevel, Tool, ToolAnswer, ToolContext
from voice_agent.tools.registry import ToolRegistry

log = structlog.get_logger(__name__)

READ_ATTEMPTS = 3
_BACKOFF_FIRST_S = 0.05  # a caller is waiting: the whole budget is about two seconds
_BACKOFF_FACTOR = 4.0

#: More than any spoken request needs; a model that writes more has lost its way.
_ARGUMENTS_MAX_CHARS = 16_384


class ToolRouter:
    """Shared by the process. ``jitter`` gives numbers in [0, 1)."""

    def __init__(
        self,
        registry: ToolRegistry,
        settings: ToolSettings,
        clock: Clock,
        *,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._breakers: dict[str, CircuitBreaker] = {}

    def breaker_states(self) -> Mapping[str, BreakerState]:
        """The breaker of every tool that has been called."""
        return {name: breaker.state for name, breaker in self._breakers.items()}

    async def run(
        self, call: ToolCall, context: ToolContext, *, by_model: bool = True, confirmed: bool = False
    ) -> ToolResult:
        """Runs one call. ``by_model=False`` is for calls our own code makes: it may use every tool. ``confirmed``: the
        caller has agreed to exactly this call.

        Cancellation is safe for the router: the call then counts neither as success nor as failure.
        """
        started_s = self._clock.now()
        result = await self._run(call, context, by_model, confirmed)
        duration_ms = (self._clock.now() - started_s) * 1000
        return ToolResult(
            call.call_id, call.name, result.status, result.data, result.reason, result.spoken, duration_ms
        )

    async def _run(self, call: ToolCall, context: ToolContext, by_model: bool, confirmed: bool) -> ToolResult:
        tool = self._registry.find(call.name)
        if tool is None or (by_model and not tool.model_callable):
            known = ", ".join(t.name for t in self._registry if t.model_callable)
            return _refused(call, ToolStatus.DENIED, "unknown_tool", f"There is no such tool. Tools: {known}.")
        if tool.identity is IdentityLevel.VERIFIED and not context.verified:
            message = "The caller's identity must be verified with the PIN first."
            return _refused(call, ToolStatus.DENIED, "identity_required", message)
        arguments, problem = self._arguments(tool, call.arguments)
        if problem:
            return _refused(call, ToolStatus.INVALID, "bad_arguments", problem)
        if tool.read_back is not None and not confirmed:
            message = "The caller must agree first. The question is being asked; do not ask it yourself."
            asked = tool.read_back(arguments, context.locale)
            return _refused(call, ToolStatus.DENIED, CONFIRMATION_REQUIRED, message, spoken=asked)
        permit = self._breaker(tool.name).admit()
        if permit is None:
            return _failed(call, tool, "breaker_open")
        with permit:
            answer, reason = await self._attempt(tool, arguments, context)
            if answer is None:
                permit.failure()
                return _failed(call, tool, reason)
            permit.success()
        status = ToolStatus.OK if answer.found else ToolStatus.BUSINESS_ERROR
        return ToolResult(call.call_id, call.name, status, dict(answer.data), answer.reason)

    def _breaker(self, name: str) -> CircuitBreaker:
        if name not in self._breakers:
            self._breakers[name] = CircuitBreaker(
                failure_threshold=self._settings.cb_failure_threshold,
                recovery_s=self._settings.cb_recovery_s,
                clock=self._clock,
            )
        return self._breakers[name]

    def _arguments(self, tool: Tool, text: str) -> tuple[Mapping[str, Any], str]:
        """The parsed arguments, or what is wrong with them. Empty text stands for no arguments."""
        if len(text) > _ARGUMENTS_MAX_CHARS:
            return {}, f"The arguments are too long: at most {_ARGUMENTS_MAX_CHARS} characters."
        try:
            # Surrogates (possible in a Python string, not in JSON) make orjson raise the same error.
            arguments = orjson.loads(text) if text.strip() else {}
        except orjson.JSONDecodeError:
            return {}, "The arguments are not valid JSON. Send one JSON object."
        if not isinstance(arguments, dict):
            return {}, "The arguments must be one JSON object."
        return arguments, "; ".join(self._registry.problems(tool.name, arguments))

    async def _attempt(
        self, tool: Tool, arguments: Mapping[str, Any], context: ToolContext
    ) -> tuple[ToolAnswer | None, str]:
        """The handler's answer, or ``None`` and why there is none."""
        attempts = READ_ATTEMPTS if tool.read_only else 1
        reason = "error"
        deadline_s = self._clock.now() + tool.timeout_s
        try:
            async with asyncio.timeout(tool.timeout_s):
                for attempt in range(1, attempts + 1):
                    try:
                        return _checked(await _called(tool, arguments, context)), ""
                    except Exception as error:
                        # Whatever a tool raises ends here: the caller hears the fallback, the log keeps the cause.
                        reason = "timeout" if isinstance(error, TimeoutError) else "error"
                        _log_failure(tool, context, error, attempt)
                        if attempt == attempts or not _worth_retrying(error):
                            break
                    pause_s = self._jitter() * _BACKOFF_FIRST_S * _BACKOFF_FACTOR ** (attempt - 1)
                    if self._clock.now() + pause_s >= deadline_s:
                        break  # nothing would be left for another attempt: the caller need not wait for that
                    await asyncio.sleep(pause_s)
        except TimeoutError as error:
            reason = "timeout"
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
    """Raises ``BugError`` unless the handler kept its part: the data must be JSON-able."""
    if not isinstance(answer, ToolAnswer):
        raise BugError(f"a tool's handler gave {type(answer).__name__} instead of a ToolAnswer")
    try:
        orjson.dumps(dict(answer.data))
    except (TypeError, ValueError) as error:
        raise BugError(f"a tool's data is not JSON-able: {error}") from None
    return answer


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


def _refused(call: ToolCall, status: ToolStatus, reason: str, message: str, *, spoken: str = "") -> ToolResult:
    return ToolResult(call.call_id, call.name, status, {"error": message}, reason, spoken)


def _failed(call: ToolCall, tool: Tool, reason: str) -> ToolResult:
    data = {"error": "The tool does not work at the moment."}
    return ToolResult(call.call_id, call.name, ToolStatus.FAILED, data, reason, tool.fallback)
