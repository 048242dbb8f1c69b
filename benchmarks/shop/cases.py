"""The fault matrix of the spoken calls: which tool meets what, and what its caller must hear."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from voice_agent.demo_backend.faults import Endpoint, Fault

READ, WRITE = "order_status", "cancel_order"
ENDPOINTS = {READ: Endpoint.GET_ORDER, WRITE: Endpoint.CANCEL_ORDER}
DOWN = "down"  # nobody listens on the shop's port


class Told(StrEnum):
    """What the caller is to hear of the tool."""

    ANSWER = "answer"
    FALLBACK = "fallback"  # it does not work, and nothing was changed
    UNSURE = "unsure"  # nobody knows whether it was changed


@dataclass(frozen=True)
class Case:
    """``fault`` is a ``Fault`` or ``DOWN``; ``times``: how many requests it strikes, ``None`` is all. ``made``: whether the
    shop has made the change in the end."""

    tool: str
    fault: str
    told: Told
    made: bool = False
    slow_ms: int = 0
    times: int | None = None

    @property
    def name(self) -> str:
        late = f" {self.slow_ms} ms" if self.slow_ms else ""
        once = " once" if self.times == 1 else ""
        return f"{self.tool}: {self.fault}{late}{once}"


# A read's budget is 2 s, one request's 1.5 s. What fails for certain is told within the reads' retries.
_READS = (
    Case(READ, Fault.HANG, Told.FALLBACK),
    Case(READ, Fault.SERVER_ERROR, Told.FALLBACK),
    Case(READ, Fault.SERVER_ERROR, Told.ANSWER, times=1),
    Case(READ, Fault.SLOW, Told.ANSWER, slow_ms=1200),
    Case(READ, Fault.SLOW, Told.FALLBACK, slow_ms=2200),
    Case(READ, Fault.GARBAGE, Told.FALLBACK),
    Case(READ, Fault.WRONG_SCHEMA, Told.FALLBACK),
    Case(READ, Fault.EMPTY, Told.FALLBACK),
    Case(READ, Fault.HUGE, Told.FALLBACK),
    Case(READ, Fault.LOST_ANSWER, Told.FALLBACK),
    Case(READ, Fault.REFUSED, Told.FALLBACK),
    Case(READ, DOWN, Told.FALLBACK),
)
# A write's budget is 4 s, and its request is sent twice at most.
_WRITES = (
    Case(WRITE, Fault.HANG, Told.UNSURE),
    Case(WRITE, Fault.HANG_AFTER, Told.UNSURE, made=True),
    Case(WRITE, Fault.HANG_AFTER, Told.ANSWER, made=True, times=1),
    Case(WRITE, Fault.SERVER_ERROR, Told.UNSURE),
    Case(WRITE, Fault.ERROR_AFTER, Told.UNSURE, made=True),
    Case(WRITE, Fault.ERROR_AFTER, Told.ANSWER, made=True, times=1),
    Case(WRITE, Fault.SLOW, Told.ANSWER, made=True, slow_ms=1200),
    Case(WRITE, Fault.SLOW, Told.UNSURE, slow_ms=2200),  # begun when nobody waits for it any more, it is not made
    Case(WRITE, Fault.GARBAGE, Told.UNSURE),
    Case(WRITE, Fault.WRONG_SCHEMA, Told.UNSURE),
    Case(WRITE, Fault.EMPTY, Told.UNSURE),
    Case(WRITE, Fault.HUGE, Told.UNSURE),
    Case(WRITE, Fault.LOST_ANSWER, Told.UNSURE, made=True),
    Case(WRITE, Fault.LOST_ANSWER, Told.ANSWER, made=True, times=1),
    Case(WRITE, Fault.REFUSED, Told.FALLBACK),
    Case(WRITE, DOWN, Told.FALLBACK),
)
CASES = _READS + _WRITES
