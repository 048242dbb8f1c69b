"""What the fallback chains of all three stages share: deadlines, links, and how a change of provider is told.

A chain implements its stage for calls: it is asked like one provider and asks several. Its links are in order of
preference. A ``ProviderError`` that leaves a chain means that nothing works: no link gave a result within the budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from voice_agent.clock import Clock
from voice_agent.providers.circuit_breaker import CircuitBreaker

P = TypeVar("P")


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


def only_link(provider: P, clock: Clock) -> Link[P]:
    """The link of a chain of one."""
    return Link("only", provider, breaker(clock))
