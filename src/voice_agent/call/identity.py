"""The checks of one call's secrets: digits from its vault to whoever compares them, and events without digits back."""

from __future__ import annotations

from voice_agent.call.vault import SecretVault
from voice_agent.conversation.events import CodeChecked, SecondFactorAsked, SecretChecked
from voice_agent.models import CallId, SecretOutcome
from voice_agent.tools.second_factor import FactorChallenge, GuardedSecondFactor
from voice_agent.tools.verify_pin import PinVerifier


class IdentityChecks:
    """``locale`` is the call's tag. Nothing here raises but for cancellation, which is safe."""

    def __init__(
        self,
        pins: PinVerifier,
        factor: GuardedSecondFactor | None,
        vault: SecretVault,
        *,
        call_id: CallId,
        caller_id: str,
        locale: str,
    ) -> None:
        self._pins = pins
        self._factor = factor
        self._vault = vault
        self._call_id = call_id
        self._caller_id = caller_id
        self._locale = locale

    async def pin(self, digits: int) -> SecretChecked | SecondFactorAsked | CodeChecked:
        """Checks the PIN; after a right one the second factor begins, where there is one."""
        secret = self._taken(digits)
        if secret is None:
            return SecretChecked(SecretOutcome.INCOMPLETE, 0)
        outcome, attempts_left = await self._pins.verify(self._caller_id, secret)
        if outcome is SecretOutcome.VERIFIED:
            self._vault.accept(secret)
            if self._factor is not None:
                return await self._begin(self._factor, attempts_left)
        return SecretChecked(outcome, attempts_left)

    async def _begin(
        self, factor: GuardedSecondFactor, attempts_left: int
    ) -> SecretChecked | SecondFactorAsked | CodeChecked:
        begun = await factor.begin(self._caller_id, self._call_id, self._locale)
        if isinstance(begun, FactorChallenge):
            return SecondFactorAsked(begun.digits, begun.sentence(self._locale))
        if begun is SecretOutcome.VERIFIED:  # this caller needs none
            return SecretChecked(begun, attempts_left)
        return CodeChecked(begun, 0)

    async def code(self, digits: int) -> CodeChecked:
        """Checks the code of the second factor."""
        code = self._taken(digits)
        if code is None:
            return CodeChecked(SecretOutcome.INCOMPLETE, 0)
        if self._factor is None:
            return CodeChecked(SecretOutcome.UNAVAILABLE, 0)
        outcome, attempts_left = await self._factor.check(self._caller_id, self._call_id, code)
        if outcome is SecretOutcome.VERIFIED:
            self._vault.accept(code)
        return CodeChecked(outcome, attempts_left)

    def _taken(self, digits: int) -> str | None:
        """What the vault holds, which forgets it; None where a correction took digits back: no try is spent on what nobody
        meant."""
        secret = self._vault.secret()
        self._vault.discard()
        return secret if len(secret) == digits else None
