"""A second factor: the protocol that a deployment's own object implements, how it is found, and the guard around it.

After a right PIN the call asks ``begin`` whether this caller needs a code too, says so, collects the digits like those of a
PIN, and lets ``check`` compare them. The guard stands between: whatever a hook does, a caller is verified by a plain
``FactorResult(SecretOutcome.VERIFIED)`` in time, and by nothing else.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeVar

import structlog

from voice_agent.clock import Clock
from voice_agent.config import IdentitySettings, ToolSettings
from voice_agent.conversation.agent_rules import for_locale
from voice_agent.conversation.spoken_forms.digits import located_runs
from voice_agent.errors import ConfigError, StoreError
from voice_agent.models import SecretOutcome
from voice_agent.providers.circuit_breaker import CircuitBreaker
from voice_agent.store.callers import caller_key

ENTRY_POINTS = "voice_agent.second_factor"

LEAST_DIGITS, MOST_DIGITS = 4, 8
# A sentence with a number like this may tell the code itself.
_TELLING_DIGITS = 4
_SENTENCE_CHARS = 200

_ANSWERS = frozenset({SecretOutcome.VERIFIED, SecretOutcome.WRONG, SecretOutcome.LOCKED, SecretOutcome.UNAVAILABLE})

T = TypeVar("T")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FactorChallenge:
    """The caller must give a code of ``digits`` digits, 4 to 8. ``sentences``, by language ("en") or tag, may say where it
    is found ("I have sent it to your phone."); it is spoken before our own question for the code."""

    digits: int
    sentences: Mapping[str, str] = field(default_factory=dict)

    def sentence(self, locale: str) -> str:
        """The sentence in the language of a locale tag; empty where there is none that can be said to anybody."""
        found = for_locale(self.sentences, locale) or ""
        tells = any(len(run.digits) >= _TELLING_DIGITS for run in located_runs(found))
        return "" if tells or len(found) > _SENTENCE_CHARS else found


@dataclass(frozen=True, slots=True)
class FactorResult:
    """What became of a code: ``VERIFIED``, ``WRONG``, ``LOCKED``, or ``UNAVAILABLE`` where it could not be compared.
    ``attempts_left`` are those that the factor itself still allows, None where it does not count."""

    outcome: SecretOutcome
    attempts_left: int | None = None


class SecondFactor(Protocol):
    """What proves a caller beside the PIN. One object serves all calls of a process. Its methods run on the event loop and
    must not block it; they are cancelled when they take too long.

    ``code_lengths``: every number of digits that its codes may have. A number as long, said before it was asked for, is
    kept out of the transcript of an unverified caller.
    """

    code_lengths: frozenset[int]

    async def begin(self, caller_id: str, call_id: str, locale: str) -> FactorChallenge | None:
        """The PIN was right: starts the proof, and says which code is wanted; None where this caller needs none."""
        ...

    async def check(self, caller_id: str, call_id: str, code: str) -> FactorResult:
        """Compares a code, in constant time; a code that was right is not to be taken twice."""
        ...


class Tries(Protocol):
    """The caller's tries and lock, shared with the PIN's; see ``store/tries``. All may raise ``StoreError``."""

    most: int

    async def count(self, key: str) -> int | None: ...

    async def take_back(self, key: str) -> None: ...

    async def forget(self, key: str) -> None: ...


class _BrokenContractError(Exception):
    """A hook did something that the protocol does not allow. The text quotes nothing it gave."""


class GuardedSecondFactor:
    """A second factor that answers in time and whose answers mean what they say.

    One that raises, takes too long or gives anything but what the protocol says is ``UNAVAILABLE``; its exceptions might
    quote the digits, so only their kind is logged. A code is counted as a try before it is compared, together with wrong
    PINs; only a factor that says of itself that it compared nothing gets the try taken back.
    """

    def __init__(
        self, factor: SecondFactor, tries: Tries, identity: IdentitySettings, tools: ToolSettings, clock: Clock
    ) -> None:
        self._factor = factor
        self._tries = tries
        self._required = identity.second_factor_required
        self._timeout_s = identity.second_factor_timeout_ms / 1000
        self._breaker = CircuitBreaker(
            failure_threshold=tools.cb_failure_threshold, recovery_s=tools.cb_recovery_s, clock=clock
        )
        self._asking: set[asyncio.Task[Any]] = set()
        self.code_lengths = factor.code_lengths

    async def begin(self, caller_id: str, call_id: str, locale: str) -> FactorChallenge | SecretOutcome:
        """The challenge; or ``VERIFIED`` where the caller needs none, ``REFUSED`` where that is not enough, or
        ``UNAVAILABLE``. Never raises but for cancellation, which is safe."""
        begun: FactorChallenge | SecretOutcome | None = await self._guarded(
            self._begin(caller_id, call_id, locale), "begin"
        )
        if begun is None:
            return SecretOutcome.UNAVAILABLE
        return begun

    async def _begin(self, caller_id: str, call_id: str, locale: str) -> FactorChallenge | SecretOutcome:
        challenge = await self._asked(self._factor.begin(caller_id, call_id, locale))
        if challenge is not None:
            return _sound_challenge(challenge, self.code_lengths)
        if self._required:
            return SecretOutcome.REFUSED
        await self._tries.forget(caller_key(caller_id))  # the PIN was the whole proof
        return SecretOutcome.VERIFIED

    async def check(self, caller_id: str, call_id: str, code: str) -> tuple[SecretOutcome, int]:
        """The outcome and the tries left before the lock (0 when locked or unavailable). Never raises but for cancellation,
        which is safe; the try stays counted."""
        checked = await self._guarded(self._check(caller_id, call_id, code), "check")
        return (SecretOutcome.UNAVAILABLE, 0) if checked is None else checked

    async def _check(self, caller_id: str, call_id: str, code: str) -> tuple[SecretOutcome, int] | None:
        key = caller_key(caller_id)
        failures = await self._tries.count(key)
        if failures is None:
            return SecretOutcome.LOCKED, 0
        result = _sound_result(await self._asked(self._factor.check(caller_id, call_id, code)))
        if result.outcome is SecretOutcome.UNAVAILABLE:
            await self._tries.take_back(key)
            return None
        if result.outcome is SecretOutcome.VERIFIED:
            await self._tries.forget(key)
            return SecretOutcome.VERIFIED, self._tries.most
        ours = max(0, self._tries.most - failures)
        left = ours if result.attempts_left is None else min(ours, result.attempts_left)
        locked = result.outcome is SecretOutcome.LOCKED or not left
        return (SecretOutcome.LOCKED, 0) if locked else (SecretOutcome.WRONG, left)

    async def _guarded(self, work: Coroutine[Any, Any, T | None], step: str) -> T | None:
        """What ``work`` gives, or None where it fails, is late, or the breaker is open."""
        permit = self._breaker.admit()
        if permit is None:
            work.close()
            return None
        given: T | None = None
        with permit:
            try:
                async with asyncio.timeout(self._timeout_s):
                    given = await work
            except Exception as error:
                ours = isinstance(error, (StoreError, _BrokenContractError))  # no other text may be trusted
                kind = type(error).__name__
                log.warning("the second factor failed", step=step, error=kind, detail=str(error) if ours else "")
            if given is None:
                permit.failure()
            else:
                permit.success()
        return given

    async def _asked(self, answer: Coroutine[Any, Any, T]) -> T:
        """What the hook answers. It runs in a task of its own: one that holds on to its cancellation is left behind, the
        call does not wait for it, and what it may still say counts for nothing."""
        task = asyncio.get_running_loop().create_task(answer, name="second-factor")
        self._asking.add(task)
        task.add_done_callback(self._forget)
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
        if task.cancelled():
            raise _BrokenContractError("it cancelled itself")
        return task.result()

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # or the loop complains that nobody has looked at it


def _sound_challenge(challenge: object, lengths: frozenset[int]) -> FactorChallenge:
    if not isinstance(challenge, FactorChallenge) or type(challenge.digits) is not int:
        raise _BrokenContractError("begin gave no FactorChallenge")
    if challenge.digits not in lengths:
        raise _BrokenContractError("begin asks for a number of digits that code_lengths lacks")
    sentences = challenge.sentences
    if not isinstance(sentences, Mapping) or not all(isinstance(sentence, str) for sentence in sentences.values()):
        raise _BrokenContractError("begin gave sentences that are no texts")
    return challenge


def _sound_result(result: object) -> FactorResult:
    if not isinstance(result, FactorResult) or not isinstance(result.outcome, SecretOutcome):
        raise _BrokenContractError("check gave no FactorResult")
    left = result.attempts_left
    if result.outcome not in _ANSWERS or (left is not None and (type(left) is not int or left < 0)):
        raise _BrokenContractError("check gave an outcome or a count that it cannot give")
    return result


# Finding one


def load_second_factor(name: str) -> SecondFactor:
    """The object that ``SECOND_FACTOR`` names: as ``module:attribute``, or by its entry point in the group
    ``voice_agent.second_factor``. Raises ``ConfigError`` where there is none, or it is no second factor."""
    where = f"SECOND_FACTOR={name!r}"
    try:
        found = _imported(name, where)
    except ConfigError:
        raise
    except Exception as error:  # a module may raise anything while it is imported
        raise ConfigError(f"{where} cannot be loaded: {type(error).__name__}: {error}") from error
    for method in ("begin", "check"):
        if inspect.isclass(found) or not inspect.iscoroutinefunction(getattr(found, method, None)):
            raise ConfigError(f"{where} is no second factor: it must be an object with 'async def {method}(…)'.")
    lengths: object = getattr(found, "code_lengths", None)
    if not _sound_lengths(lengths):
        raise ConfigError(
            f"{where} has code_lengths={lengths!r}: it must be a frozenset of the numbers of digits that its codes may "
            f"have, {LEAST_DIGITS} to {MOST_DIGITS}."
        )
    factor: SecondFactor = found
    return factor


def _sound_lengths(lengths: object) -> bool:
    if not isinstance(lengths, frozenset) or not lengths:
        return False
    return all(type(n) is int and LEAST_DIGITS <= n <= MOST_DIGITS for n in lengths)


def _imported(name: str, where: str) -> Any:
    if ":" in name:
        module, _, attribute = name.partition(":")
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found
    for point in entry_points(group=ENTRY_POINTS, name=name):
        return point.load()
    known = ", ".join(["totp", *sorted(point.name for point in entry_points(group=ENTRY_POINTS))])
    raise ConfigError(f"{where} is not known: use module:attribute, or one of {known}.")
