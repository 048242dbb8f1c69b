"""The bounded thread pool in which every local model runs.

Rules:

1. At most ``workers`` jobs run at once; each model session inside them is single-threaded, so ``workers`` is the
   number of cores that local models may use.
2. Urgent work (what a caller waits for: final transcripts, synthesis, end of turn) starts before work that is not
   (partial transcripts); within a class, first come first served.
3. At most ``queue`` jobs wait. Beyond that a job is refused with ``ProviderError(RATE)``; an urgent one takes the
   place of the youngest waiting job that is not urgent, which is refused instead.
4. Cancelling the wait drops a job that has not started. A running job cannot be interrupted from outside: it runs to
   its end, its result is discarded, and ``drained(owner)`` waits for it.
5. A generator is advanced one chunk a job, so a slow consumer holds memory for ``ahead`` chunks and never a worker.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from voice_agent.errors import BugError, ProviderError, ProviderFault

T = TypeVar("T")

CLOSE_TIMEOUT_S: Final = 10.0  # the longest job (a model's load) takes about 1 s


@dataclass(slots=True, eq=False)
class _Job:
    call: Callable[[], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    urgent: bool
    owner: object | None


class ModelPool:
    """Runs blocking model code off the event loop. Shared by the process; safe to use from several event loops.

    ``close`` ends it. Any method raises ``ProviderError`` once it is closed.
    """

    def __init__(self, workers: int = 2, queue: int = 64) -> None:
        if workers < 1 or queue < 1:
            raise BugError(f"a pool needs at least one worker and one waiting place, not {workers} and {queue}")
        self._queue = queue
        self._urgent: deque[_Job] = deque()
        self._patient: deque[_Job] = deque()
        self._running: set[_Job] = set()
        self._drain_waiters: list[tuple[object, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"model-{index}", daemon=True) for index in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that have not started."""
        return len(self._urgent) + len(self._patient)

    @property
    def running(self) -> int:
        """Jobs inside a worker now."""
        return len(self._running)

    async def run(self, fn: Callable[..., T], *args: Any, urgent: bool = True, owner: object | None = None) -> T:
        """``fn(*args)`` in a worker. Raises what ``fn`` raises, and ``ProviderError`` when refused.

        Cancellation is immediate: a waiting job is dropped, a running one is left to end unheard.
        """
        return await self.submit(fn, *args, urgent=urgent, owner=owner)

    def submit(
        self, fn: Callable[..., T], *args: Any, urgent: bool = True, owner: object | None = None
    ) -> asyncio.Future[T]:
        """Like ``run``, but gives the future; cancelling it drops the job if it has not started."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        job = _Job(lambda: fn(*args), future, loop, urgent, owner)
        with self._changed:
            if self._closed:
                raise ProviderError("the model pool is closed", category=ProviderFault.INTERNAL, retryable=False)
            if self.waiting >= self._queue:
                if not (urgent and self._patient):
                    raise _refusal(self._queue)
                displaced = self._patient.pop()
                _settle(displaced, None, _refusal(self._queue))
            (self._urgent if urgent else self._patient).append(job)
            self._wake_drainers()
            self._changed.notify()
        future.add_done_callback(lambda _: self._drop(job))
        return future

    async def stream(
        self,
        generate: Callable[..., Iterator[T]],
        *args: Any,
        urgent: bool = True,
        owner: object | None = None,
        ahead: int = 2,
    ) -> AsyncGenerator[T, None]:
        """The chunks of the synchronous generator ``generate(*args)``, at most ``ahead`` of them made in advance.

        Successive chunks may be made on different threads, never two at once. Closing this iterator (use
        ``contextlib.aclosing``) or cancelling its consumer stops the work: at once if no chunk is being made, otherwise
        after that chunk; then the generator is closed. Raises what the generator raises, and ``ProviderError``.
        """
        steps = _Steps(self, lambda: generate(*args), urgent, owner if owner is not None else object(), ahead)
        try:
            while True:
                chunk = await steps.next()
                if isinstance(chunk, _End):
                    return
                yield chunk
        finally:
            steps.stop()

    async def drained(self, owner: object) -> None:
        """Returns once no job of ``owner`` waits or runs."""
        loop = asyncio.get_running_loop()
        with self._changed:
            if not self._has_work(owner):
                return
            future: asyncio.Future[None] = loop.create_future()
            self._drain_waiters.append((owner, loop, future))
        await future

    async def close(self) -> None:
        """Refuses new work, fails what waits, lets what runs come to its end, ends the threads."""
        with self._changed:
            self._closed = True
            dropped = [*self._urgent, *self._patient]
            self._urgent.clear()
            self._patient.clear()
            for job in dropped:
                error = ProviderError("the model pool was closed", category=ProviderFault.INTERNAL, retryable=False)
                _settle(job, None, error)
            self._wake_drainers()
            self._changed.notify_all()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join(CLOSE_TIMEOUT_S)

    def _has_work(self, owner: object) -> bool:
        return any(job.owner is owner for jobs in (self._running, self._urgent, self._patient) for job in jobs)

    def _drop(self, job: _Job) -> None:
        if not job.future.cancelled():
            return
        with self._changed:
            with suppress(ValueError):
                (self._urgent if job.urgent else self._patient).remove(job)
            self._wake_drainers()

    def _wake_drainers(self) -> None:
        """Call with the lock held."""
        still: list[tuple[object, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        for waiter in self._drain_waiters:
            owner, loop, future = waiter
            if self._has_work(owner):
                still.append(waiter)
            else:
                _on_loop(loop, _finish, future)
        self._drain_waiters = still

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._urgent or self._patient or self._closed):
                    self._changed.wait()
                if not (self._urgent or self._patient):
                    return
                job = (self._urgent or self._patient).popleft()
                if job.future.cancelled():
                    self._wake_drainers()
                    continue
                self._running.add(job)
            result, error = None, None
            try:
                result = job.call()
            except BaseException as raised:  # whatever a job raises belongs to the one who waits for it
                error = raised
            with self._changed:
                self._running.discard(job)
                _settle(job, result, error)
                self._wake_drainers()
            del job, result, error  # an idle worker holds no audio


class _End:
    """Marks the end of a generator."""


@dataclass(frozen=True, slots=True)
class _Failed:
    error: Exception


class _Steps(Generic[T]):
    """Advances one generator through the pool. All methods run on the event loop except ``_advance``."""

    def __init__(
        self, pool: ModelPool, make: Callable[[], Iterator[T]], urgent: bool, owner: object, ahead: int
    ) -> None:
        self._pool = pool
        self._make = make
        self._urgent = urgent
        self._owner = owner
        self._ahead = max(1, ahead)
        self._iterator: Iterator[T] | None = None
        self._ready: deque[T | _End | _Failed] = deque()
        self._arrived = asyncio.Event()
        self._step: asyncio.Future[T | _End] | None = None
        self._stopped = threading.Event()
        self._turn = threading.Lock()  # a stop on the event loop and a step in a worker exclude each other
        self._finished = False

    async def next(self) -> T | _End:
        while not self._ready:
            self._arrived.clear()
            self._fill()
            if self._ready:
                break
            await self._arrived.wait()
        item = self._ready.popleft()
        if isinstance(item, _Failed):
            raise item.error
        self._fill()
        return item

    def stop(self) -> None:
        """Ends the work. Does not wait: a chunk being made is finished and thrown away by its worker."""
        self._stopped.set()
        self._ready.clear()
        if self._step is not None:
            self._step.cancel()
        if self._turn.acquire(blocking=False):  # otherwise the worker that holds it closes the generator
            try:
                self._close_iterator()
            finally:
                self._turn.release()

    def _fill(self) -> None:
        if self._step is not None or self._finished or self._stopped.is_set() or len(self._ready) >= self._ahead:
            return
        try:
            self._step = self._pool.submit(self._advance, urgent=self._urgent, owner=self._owner)
        except ProviderError as error:
            self._finished = True
            self._ready.append(_Failed(error))
            return
        self._step.add_done_callback(self._landed)

    def _landed(self, step: asyncio.Future[T | _End]) -> None:
        self._step = None
        if step.cancelled() or self._stopped.is_set():
            if not step.cancelled():
                step.exception()  # marks it as seen: nobody waits for it any more
            return
        error = step.exception()
        if error is not None:
            self._finished = True
            self._ready.append(_Failed(error if isinstance(error, Exception) else RuntimeError(repr(error))))
        else:
            item = step.result()
            self._finished = isinstance(item, _End)
            self._ready.append(item)
        self._arrived.set()
        self._fill()

    def _advance(self) -> T | _End:
        try:
            with self._turn:
                if self._stopped.is_set():
                    return _End()
                if self._iterator is None:
                    self._iterator = self._make()
                for item in self._iterator:
                    return item
                return _End()
        finally:
            # Read after the lock is free: a stop that found it taken has set the flag by now.
            if self._stopped.is_set():
                with self._turn:
                    self._close_iterator()

    def _close_iterator(self) -> None:
        close = getattr(self._iterator, "close", None)
        self._iterator = None
        if close is not None:
            close()


def _refusal(queue: int) -> ProviderError:
    return ProviderError(
        f"local models are overloaded: {queue} jobs are waiting (LOCAL_MODEL_QUEUE)", category=ProviderFault.RATE
    )


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _settle(job: _Job, result: Any, error: BaseException | None) -> None:
    _on_loop(job.loop, _deliver, job.future, result, error)


def _deliver(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, StopIteration | asyncio.CancelledError | KeyboardInterrupt | SystemExit):
        future.set_exception(BugError(f"a model job raised {error!r}"))  # asyncio gives these a meaning of their own
    else:
        future.set_exception(error)


def _on_loop(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    with suppress(RuntimeError):  # the loop has closed: nobody waits for the answer
        loop.call_soon_threadsafe(callback, *args)
