"""Many calls at once in one process, and what they add up to.

One timer serves all calls: a call sends in one of 20 slots of a millisecond, so that frames are spread over time as those
of unrelated callers are. Collections are off while calls run.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from load.call import FRAME_S, Call, Outcome, Plan, Speech, Turn
from load.script import FIXED_S, FIXED_TOOL_S

SLOTS = 20
STALL_MIN_S = 0.02  # less than one frame missing is not heard


@dataclass(frozen=True)
class Load:
    """``calls`` begin evenly over ``ramp_s``, ``wait_s`` after the start."""

    url: str
    calls: int
    script: str = "NNTB"
    ramp_s: float = 3.0
    wait_s: float = 0.0
    seed: int = 1
    limit_s: float = 120.0


@dataclass
class Pacer:
    """Ticks every open call each 20 ms, on time or, after a hold-up, as often as it was missed."""

    loop: asyncio.AbstractEventLoop
    slots: list[dict[Call, float]] = field(default_factory=lambda: [{} for _ in range(SLOTS)])
    lag_ms: Counter[int] = field(default_factory=Counter)
    _slot: int = 0
    _due_s: float = 0.0
    _timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._due_s = monotonic() + FRAME_S / SLOTS
        self._timer = self.loop.call_later(FRAME_S / SLOTS, self._step)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def add(self, call: Call) -> None:
        min(self.slots, key=len)[call] = 0.0

    def remove(self, call: Call) -> None:
        for slot in self.slots:
            slot.pop(call, None)

    def _step(self) -> None:
        now = monotonic()
        while self._due_s <= now:
            calls = self.slots[self._slot]
            if calls:
                self.lag_ms[int((now - self._due_s) * 1e3)] += len(calls)
            for call in list(calls):
                if call.open:
                    call.tick(now)
            self._slot = (self._slot + 1) % SLOTS
            self._due_s += FRAME_S / SLOTS
        # Event loops count in milliseconds: a shorter wait would be none.
        self._timer = self.loop.call_later(max(FRAME_S / SLOTS, self._due_s - monotonic()), self._step)


class Fleet:
    """Places calls at one server."""

    def __init__(self, url: str, recordings: list[bytes], *, seed: int = 1) -> None:
        self.url = url
        self.calls: list[Call] = []
        self._dialled = 0
        self._speech = Speech(recordings, seed)
        self._loop = asyncio.get_running_loop()
        self.pacer = Pacer(self._loop)
        self._running: dict[Call, asyncio.Future[None]] = {}

    async def place(self, plan: Plan) -> Call:
        """Dials, and returns when the call is over."""
        number, self._dialled = self._dialled, self._dialled + 1
        over: asyncio.Future[None] = self._loop.create_future()

        def finished(call: Call) -> None:
            self.pacer.remove(call)
            if not over.done():
                over.set_result(None)

        call = Call(self.url, number, plan, self._speech, finished)
        call.dialled_s = monotonic()
        self.calls.append(call)
        parts = urlsplit(self.url)
        try:
            await self._loop.create_connection(lambda: call, parts.hostname, parts.port or 80)
        except OSError as error:
            call.outcome, call.ending = Outcome.DROPPED, repr(error)
            call.ended_s = monotonic()
            return call
        self.pacer.add(call)
        await over
        return call


def plans(script: str, count: int, seed: int) -> Iterator[Plan]:
    """Scripts rotated, so that calls do not all use the tool at the same moment; no script begins with an interruption."""
    shuffle = random.Random(seed)
    for _ in range(count):
        places = [place for place, letter in enumerate(script) if letter != "B"]
        at = shuffle.choice(places)
        yield Plan(script[at:] + script[:at], recording=shuffle.randrange(100))


async def run_load(load: Load, recordings: list[bytes]) -> dict[str, Any]:
    """Carries ``load`` out; gives figures and raw values as one JSON-able dictionary."""
    fleet = Fleet(load.url, recordings, seed=load.seed)
    begun_s, usage = monotonic(), resource.getrusage(resource.RUSAGE_SELF)

    async def later(delay_s: float, plan: Plan) -> None:
        await asyncio.sleep(delay_s)
        await fleet.place(plan)

    with _NoCollections():
        fleet.pacer.start()
        tasks = [
            asyncio.create_task(later(load.wait_s + load.ramp_s * number / load.calls, plan))
            for number, plan in enumerate(plans(load.script, load.calls, load.seed))
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(load.limit_s):
                await asyncio.gather(*tasks)
        fleet.pacer.stop()
    for call in fleet.calls:
        call.hang_up()
    now = resource.getrusage(resource.RUSAGE_SELF)
    own_cpu_s = now.ru_utime + now.ru_stime - usage.ru_utime - usage.ru_stime
    return figures(fleet, load) | {
        "wall_s": round(monotonic() - begun_s, 2),
        "client_cores": round(own_cpu_s / (monotonic() - begun_s), 3),
        "load_1min": round(os.getloadavg()[0], 2),
    }


class _NoCollections:
    def __enter__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        gc.enable()
        gc.unfreeze()


def figures(fleet: Fleet, load: Load) -> dict[str, Any]:
    admitted = [call for call in fleet.calls if call.outcome is not Outcome.REFUSED]
    refused = [call for call in fleet.calls if call.outcome is Outcome.REFUSED]
    turns = [turn for call in admitted for turn in call.turns if turn.said_s]
    answered = [turn for turn in turns if turn.answer_s is not None]
    in_order = [turn for turn in answered if not turn.early]
    interruptions = [turn for turn in turns if turn.letter == "B"]
    late: Counter[int] = Counter()
    for turn in answered:
        late.update(int(value * 10) for value in turn.late_ms)
    unfinished = sum(call.outcome is not Outcome.DONE for call in admitted)
    return {
        "url": load.url,
        "calls": load.calls,
        "admitted": len(admitted),
        "refused": len(refused),
        "dropped": unfinished,
        "endings": dict(Counter(call.ending for call in admitted if call.outcome is not Outcome.DONE)),
        "call_minutes": round(sum(call.ended_s - call.opened_s for call in admitted if call.opened_s) / 60, 4),
        "turns": len(turns),
        "missed": len(turns) - len(answered),
        "spoken_over": sum(turn.early for turn in turns),
        "overheads_ms": [_overhead_ms(turn, FIXED_S) for turn in in_order if turn.letter != "T"],
        "tool_overheads_ms": [
            _overhead_ms(turn, FIXED_TOOL_S) for turn in answered if turn.letter == "T" and not turn.early
        ],
        "interruptions": len(interruptions),
        "yields_ms": [round(turn.yield_s * 1e3, 1) for turn in interruptions if turn.yield_s is not None],
        "stalled": sum(turn.stall_s > STALL_MIN_S for turn in answered),
        "late_tenths_ms": {str(key): count for key, count in sorted(late.items())},
        "refusals_ms": [round((call.ended_s - call.dialled_s) * 1e3, 1) for call in refused],
        "client_lag_ms": {str(key): count for key, count in sorted(fleet.pacer.lag_ms.items())},
    }


def _overhead_ms(turn: Turn, fixed_s: float) -> float:
    assert turn.answer_s is not None
    return round((turn.answer_s - turn.said_s - fixed_s) * 1e3, 1)


def percentile(counts: dict[str, int], share: float, unit: float = 1.0) -> float | None:
    """Of a histogram with integer keys, times ``unit``."""
    total = sum(counts.values())
    reached = 0
    for key in sorted(counts, key=int):
        reached += counts[key]
        if reached >= share * total:
            return int(key) * unit
    return None
