"""The check of a caller's PIN: the protocol, a guard around it, and the declaration of the tool ``verify_pin``.

The call uses ``GuardedPinVerifier`` directly, so that the digits pass from the machine's secret to the store and
through nothing else. The tool exists for the registry's sake: it is listed, audited, and refused to the language model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from voice_agent.clock import Clock
from voice_agent.config import ToolSettings
from voice_agent.models import SecretOutcome
from voice_agent.providers.circuit_breaker import CircuitBreaker
from voice_agent.tools.base import SENSITIVE_TAG, Tool, ToolAnswer, ToolContext

#: One check takes 20–60 ms; more than this means that the database hangs.
_TIMEOUT_S = 3.0


class PinVerifier(Protocol):
    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        """The outcome and the tries left before the lock (0 when locked or unavailable)."""
        ...


class GuardedPinVerifier:
    """A ``PinVerifier`` that answers in time: failures and delays of the store become ``UNAVAILABLE``."""

    def __init__(self, verifier: PinVerifier, settings: ToolSettings, clock: Clock) -> None:
        self._verifier = verifier
        self._breaker = CircuitBreaker(
            failure_threshold=settings.cb_failure_threshold, recovery_s=settings.cb_recovery_s, clock=clock
        )

    async def verify(self, caller_id: str, pin: str) -> tuple[SecretOutcome, int]:
        """Never raises but for cancellation, which is safe."""
        permit = self._breaker.admit()
        if permit is None:
            return SecretOutcome.UNAVAILABLE, 0
        with permit:
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    outcome, attempts_left = await self._verifier.verify(caller_id, pin)
            except Exception:  # the text might quote the digits, so it goes nowhere
                outcome, attempts_left = SecretOutcome.UNAVAILABLE, 0
            if outcome is SecretOutcome.UNAVAILABLE:
                permit.failure()
            else:
                permit.success()
        return outcome, attempts_left


def verify_pin_tool(verifier: PinVerifier) -> Tool:
    """``verify_pin {pin}`` → ``{"outcome", "attempts_left"}``; not callable by the model."""

    async def handle(arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        outcome, attempts_left = await verifier.verify(context.caller_id, arguments["pin"])
        verified = outcome is SecretOutcome.VERIFIED
        data = {"outcome": outcome.value, "attempts_left": attempts_left}
        return ToolAnswer(data, found=verified, reason="" if verified else outcome.value)

    return Tool(
        name="verify_pin",
        description="Proves the caller's identity with the PIN.",
        parameters={
            "type": "object",
            "properties": {"pin": {"type": "string", "pattern": "^[0-9]{1,12}$"}},
            "required": ["pin"],
            "additionalProperties": False,
        },
        handler=handle,
        fallback="I'm sorry, I can't check your PIN right now.",
        unsure="I'm sorry, I can't check your PIN right now.",
        timeout_s=_TIMEOUT_S,
        read_only=False,
        model_callable=False,
        tags=frozenset({SENSITIVE_TAG}),
    )
