"""What the fallback chains of all three stages share: deadlines, links, and how a change of provider is told.

A chain implements its stage for calls: it is asked like one provider and asks several. Its links are in order of
preference. A ``ProviderError`` that leaves a chain means that nothing works: no link gave a result within the budget.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

import structlog

from voice_agent.clock import Clock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.circuit_breaker import CircuitBreaker, Permit

P = TypeVar("P")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StageDeadlines:
    """Seconds. ``first_s``: from the request to the first result; ``gap_s``: between results; ``hedge_s``: a first result
    later than this starts the next link beside (0: never). The last link may take ``patience_s`` to its first result and
    between results: nobody else can do better."""

    first_s: float
    gap_s: float
    hedge_s: float = 0.0
    patience_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Link(Generic[P]):
    """One provider of a chain; ``name`` is that of the setting. The breaker is shared by all calls of the process."""

    name: str
    provider: P
    breaker: CircuitBreaker


class SwitchReason(StrEnum):
    """Why another provider serves than before; the values of ``ProviderFault`` and two more. Safe as a metric label."""

    AUTH = "auth"
    QUOTA = "quota"
    RATE = "rate"
    NETWORK = "network"
    PROTOCOL = "protocol"
    EMPTY = "empty"
    TIMEOUT = "timeout"
    INTERNAL = "internal"
    HEDGE = "hedge"  # the next one, started beside a late one, was quicker
    RECOVERED = "recovered"  # back to one that is preferred and works again


@dataclass(frozen=True, slots=True)
class Switch:
    """``previous`` does not serve any more, ``provider`` does; it is empty where none is left."""

    previous: str
    provider: str
    reason: SwitchReason


Report = Callable[[Switch], None]


def unreported(switch: Switch) -> None:
    """The ``Report`` of a request that belongs to no call."""


# Three failures in a row are no accident; calls that find the breaker open lose no time on the provider. Fifteen seconds
# later one request, a probe, asks again.
_FAILURE_THRESHOLD = 3
_RECOVERY_S = 15.0


def breaker(clock: Clock) -> CircuitBreaker:
    """A link's breaker, with the thresholds of providers."""
    return CircuitBreaker(failure_threshold=_FAILURE_THRESHOLD, recovery_s=_RECOVERY_S, clock=clock)


# The mean pause before a second round: long enough for a reset connection, short enough for a caller.
PAUSE_S = 0.1

# A rejected key or a used-up quota takes an operator, so asking again within seconds only costs callers time.
_LASTING_FAULTS = frozenset({ProviderFault.AUTH, ProviderFault.QUOTA})
_LASTING_S = 300.0
_RETRY_AFTER_MAX_S = 600.0  # a vendor that asks for more is asked again all the same: clocks and defaults err


def tell_breaker(permit: Permit, error: ProviderError) -> None:
    """A failure, with how long it keeps the link out where that is known."""
    if error.category in _LASTING_FAULTS:
        permit.failure(out_s=_LASTING_S)
    elif error.category is ProviderFault.RATE and error.retry_after_s is not None:
        permit.failure(out_s=min(max(error.retry_after_s, 0.0), _RETRY_AFTER_MAX_S))
    else:
        permit.failure()


def only_link(provider: P, clock: Clock) -> Link[P]:
    """The link of a chain of one."""
    return Link("only", provider, breaker(clock))


async def warm_links(what: str, links: Sequence[Link[Any]]) -> None:
    """Warms all links side by side. One that fails is said in the log: the others serve. Raises ``ProviderError`` where all
    fail, and ``ConfigError`` at once."""
    failures: list[ProviderError] = []

    async def warm(link: Link[Any]) -> None:
        try:
            await link.provider.warm_up()
        except ProviderError as error:
            log.warning("a provider could not be warmed", stage=what, provider=link.name, error=str(error))
            failures.append(error)

    tasks = [asyncio.create_task(warm(link), name=f"warm-{link.name}") for link in links]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if len(failures) == len(links):
        raise failures[0]
