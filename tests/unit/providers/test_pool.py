"""The model pool: order, bounds, cancellation, generators. Jobs are held by gates, so nothing depends on timing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from voice_agent.errors import BugError, ProviderError, ProviderFault
from voice_agent.providers.pool import ModelPool

PATIENCE_S = 10


class Gate:
    """A job that says when it runs and goes on when it is let."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.set()
        assert self.opened.wait(PATIENCE_S)
        return "done"


@pytest.fixture
async def pool() -> AsyncIterator[ModelPool]:
    pool = ModelPool(workers=1, queue=3)
    yield pool
    await pool.close()


async def entered(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.entered.wait, PATIENCE_S)


async def test_gives_results_and_errors_back(pool: ModelPool) -> None:
    assert await pool.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 7, 0)


async def test_errors_that_mean_something_to_asyncio_become_a_bug(pool: ModelPool) -> None:
    with pytest.raises(BugError, match="StopIteration"):
        await pool.run(next, iter(()))


async def test_urgent_work_overtakes(pool: ModelPool) -> None:
    gate, order = Gate(), []
    held = pool.submit(gate)
    await entered(gate)
    waiting = [
        pool.submit(order.append, "partial", urgent=False),
        pool.submit(order.append, "final 1"),
        pool.submit(order.append, "final 2"),
    ]
    gate.opened.set()
    await asyncio.gather(held, *waiting)
    assert order == ["final 1", "final 2", "partial"]


async def test_refuses_beyond_the_queue(pool: ModelPool) -> None:
    gate = Gate()
    held = pool.submit(gate)
    await entered(gate)
    waiting = [pool.submit(str, n, urgent=False) for n in range(3)]
    with pytest.raises(ProviderError) as refused:
        await pool.run(str, 4, urgent=False)
    assert refused.value.category is ProviderFault.RATE
    assert refused.value.retryable
    gate.opened.set()
    assert await asyncio.gather(held, *waiting) == ["done", "0", "1", "2"]


async def test_urgent_work_displaces_the_youngest_partial(pool: ModelPool) -> None:
    gate = Gate()
    held = pool.submit(gate)
    await entered(gate)
    partials = [pool.submit(str, n, urgent=False) for n in range(3)]
    finals = [pool.submit(str, n) for n in (10, 11, 12)]
    with pytest.raises(ProviderError):
        pool.submit(str, 13)  # only urgent work waits now
    for partial in partials:
        with pytest.raises(ProviderError, match="overloaded"):
            await partial
    gate.opened.set()
    assert await asyncio.gather(held, *finals) == ["done", "10", "11", "12"]


async def test_cancelling_drops_a_job_that_has_not_started(pool: ModelPool) -> None:
    gate, ran = Gate(), []
    held = pool.submit(gate)
    await entered(gate)
    task = asyncio.create_task(pool.run(ran.append, 1))
    await asyncio.sleep(0)
    assert pool.waiting == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pool.waiting == 0
    gate.opened.set()
    await held
    assert await pool.run(len, ran) == 0


async def test_cancelling_leaves_a_running_job_to_its_end(pool: ModelPool) -> None:
    gate, owner = Gate(), object()
    task = asyncio.create_task(pool.run(gate, owner=owner))
    await entered(gate)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    drained = asyncio.create_task(pool.drained(owner))
    await pool.drained(object())  # another owner's work is no reason to wait
    assert not drained.done()
    gate.opened.set()
    await drained
    assert (pool.running, pool.waiting) == (0, 0)


async def test_drained_also_notices_jobs_that_are_dropped(pool: ModelPool) -> None:
    gate, owner = Gate(), object()
    held = pool.submit(gate)
    await entered(gate)
    future = pool.submit(str, 1, owner=owner)
    drained = asyncio.create_task(pool.drained(owner))
    await asyncio.sleep(0)
    assert not drained.done()
    future.cancel()
    await drained
    gate.opened.set()
    await held


async def test_works_side_by_side() -> None:
    pool = ModelPool(workers=2, queue=1)
    gates = Gate(), Gate()
    held = [pool.submit(gate) for gate in gates[:1]]
    await entered(gates[0])
    held.append(pool.submit(gates[1]))
    await entered(gates[1])
    assert pool.running == 2
    for gate in gates:
        gate.opened.set()
    await asyncio.gather(*held)
    await pool.close()


async def test_close_fails_what_waits_and_refuses_more() -> None:
    pool, gate = ModelPool(workers=1, queue=4), Gate()
    held = pool.submit(gate)
    await entered(gate)
    waiting = pool.submit(str, 1)
    closing = asyncio.create_task(pool.close())
    with pytest.raises(ProviderError, match="closed"):
        await waiting
    with pytest.raises(ProviderError, match="closed"):
        pool.submit(str, 2)
    gate.opened.set()
    await closing
    assert await held == "done"
    assert not [thread for thread in threading.enumerate() if thread in pool._threads]


def test_needs_a_worker_and_a_place() -> None:
    with pytest.raises(BugError):
        ModelPool(workers=0)
    with pytest.raises(BugError):
        ModelPool(queue=0)


def count(limit: int, made: list[int], closed: threading.Event) -> Iterator[int]:
    try:
        for n in range(limit):
            made.append(n)
            yield n
    finally:
        closed.set()


async def test_stream_gives_all_chunks_in_order(pool: ModelPool) -> None:
    made: list[int] = []
    closed = threading.Event()
    assert [n async for n in pool.stream(count, 20, made, closed)] == list(range(20))
    assert closed.is_set()
    assert (pool.running, pool.waiting) == (0, 0)


async def test_stream_of_nothing(pool: ModelPool) -> None:
    assert [n async for n in pool.stream(count, 0, [], threading.Event())] == []


async def test_stream_runs_ahead_by_its_bound_and_holds_no_worker(pool: ModelPool) -> None:
    made: list[int] = []
    closed, owner = threading.Event(), object()
    async with aclosing(pool.stream(count, 100, made, closed, owner=owner, ahead=3)) as chunks:
        assert await anext(chunks) == 0
        await pool.drained(owner)
        while len(made) < 4:
            await asyncio.sleep(0)
            await pool.drained(owner)
        assert made == [0, 1, 2, 3]
        assert await pool.run(str, "another") == "another"
        assert made == [0, 1, 2, 3]
    assert closed.is_set()


async def test_stream_raises_what_the_generator_raises(pool: ModelPool) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    chunks = pool.stream(broken)
    assert await anext(chunks) == 1
    with pytest.raises(ValueError, match="no more"):
        await anext(chunks)


async def test_closing_a_stream_in_the_middle_of_a_chunk_stops_it(pool: ModelPool) -> None:
    gate, closed, owner = Gate(), threading.Event(), object()

    def slow() -> Iterator[int]:
        try:
            yield 0
            gate()
            yield 1
            raise AssertionError("nobody asked for this chunk")
        finally:
            closed.set()

    async with aclosing(pool.stream(slow, owner=owner)) as chunks:
        assert await anext(chunks) == 0
        await entered(gate)
    assert not closed.is_set()  # closing did not wait for the chunk
    gate.opened.set()
    await pool.drained(owner)
    assert closed.is_set()


async def test_cancelling_the_consumer_stops_a_stream(pool: ModelPool) -> None:
    gate, closed, owner = Gate(), threading.Event(), object()

    def slow() -> Iterator[int]:
        try:
            gate()
            yield 0
        finally:
            closed.set()

    async def consume() -> None:
        async with aclosing(pool.stream(slow, owner=owner)) as chunks:
            async for _ in chunks:
                pass

    task = asyncio.create_task(consume())
    await entered(gate)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.opened.set()
    await pool.drained(owner)
    assert closed.is_set()


async def test_a_refused_stream_says_so(pool: ModelPool) -> None:
    gate = Gate()
    held = pool.submit(gate)
    await entered(gate)
    waiting = [pool.submit(str, n) for n in range(3)]
    with pytest.raises(ProviderError, match="overloaded"):
        await anext(pool.stream(count, 1, [], threading.Event()))
    gate.opened.set()
    await asyncio.gather(held, *waiting)
