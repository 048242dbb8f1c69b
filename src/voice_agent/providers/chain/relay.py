"""How one request for a stream of results is served by several providers in turn; the same for language and speech.

Rules:

1. Links are asked in order of preference; one whose breaker does not admit is passed over.
2. A first result later than ``hedge_s`` starts the next admitted link beside; never more than two run. Whoever has a result
   first serves, the other is closed at once. A preferred link that loses so has failed, as far as its breaker is concerned:
   one that hangs always loses to the link started beside, before its own deadline ends, and would cost every request
   ``hedge_s``. A link started beside that loses is given up and counts neither way; it is the next one again.
3. A first result later than ``first_s``, a further one later than ``gap_s``, and results that fall behind what they are
   worth in speech by more than ``gap_s`` (a dripping line) are failures. While nobody else could serve, the limit is
   ``patience_s`` instead, and dripping is borne.
4. A failure counts with the link's breaker; a rejected key or a used-up quota takes the link out for minutes, a rate limit
   for as long as the provider says. The next link begins anew.
5. When all links failed, the last error invites another try, and ``patience_s`` since the request began are not over, there
   is one more round after a short pause. Then the last error leaves the chain.
6. Where every breaker is open the request fails at once: the caller waits, and is better served by a person than by another
   try of what has just failed several times. One probe at a time finds out when that is over.
7. A success is the end of the stream without an error: a link that begins well and hangs in the middle each time must open
   its breaker too. A stream that its consumer closes counts neither way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from typing import Final, Generic, TypeVar

import structlog

from voice_agent.clock import Clock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.chain.attempt import Attempt
from voice_agent.providers.chain.base import (
    PAUSE_S,
    Link,
    Report,
    StageDeadlines,
    Switch,
    SwitchReason,
    tell_breaker,
    warm_links,
)

P = TypeVar("P")
T = TypeVar("T")

# What is closed ends within milliseconds; what does not is left to end on its own, so that nobody waits for it.
_CLOSE_S = 0.1
# Instants closer than this are the same: sums of floats differ in their last digits.
_INSTANT_S = 1e-6

log = structlog.get_logger(__name__)


class Restart:
    """Takes the place of an item where another link begins anew."""


RESTART: Final = Restart()


class Relay(Generic[P, T]):
    """A stage's links, and what its requests have in common. ``what`` names the stage in messages; ``worth_s`` tells how
    many seconds of speech an item lasts."""

    def __init__(
        self,
        what: str,
        links: Sequence[Link[P]],
        deadlines: StageDeadlines,
        clock: Clock,
        *,
        jitter: Callable[[], float],
        worth_s: Callable[[T], float],
    ) -> None:
        if not links:
            raise ValueError("a chain needs one link at least")
        self.what = what
        self.links = tuple(links)
        self.deadlines = deadlines
        self.clock = clock
        self.jitter = jitter
        self.worth_s = worth_s
        self.faults: dict[str, ProviderFault] = {}  # each link's latest
        self._leaving: set[asyncio.Task[None]] = set()

    def serve(
        self,
        start: Callable[[Link[P]], AsyncGenerator[T, None]],
        report: Report,
        counts: Callable[[ProviderError], bool] = lambda error: True,
        serves: Callable[[str], None] = lambda name: None,
        last: Collection[str] = (),
    ) -> AsyncGenerator[T | Restart, None]:
        """The items of the links that serve, with ``RESTART`` where another takes over from one that gave some. ``start``
        begins a link's work; ``counts`` tells whether a failure says something about the link (and not about the
        request); ``serves`` is told the name of each link that serves; links named in ``last`` are asked after the others.
        Closing the iterator stops all work. Raises ``ProviderError`` when nothing works."""
        return _Request(self, start, report, counts, serves, last).items()

    async def warm_up(self) -> None:
        """Warms all links side by side. One that fails is said in the log; raises ``ProviderError`` where all fail, and
        ``ConfigError`` at once."""
        await warm_links(self.what, self.links)

    async def part(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Waits a little for cancelled tasks; those that take longer are kept until they are done."""
        late = [task for task in tasks if not task.done()]
        if not late:
            return
        for task in late:
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        _, pending = await asyncio.wait(late, timeout=_CLOSE_S)
        if pending:
            log.warning("a provider is slow to stop", tasks=[task.get_name() for task in pending])


class _Request(Generic[P, T]):
    def __init__(
        self,
        relay: Relay[P, T],
        start: Callable[[Link[P]], AsyncGenerator[T, None]],
        report: Report,
        counts: Callable[[ProviderError], bool],
        serves: Callable[[str], None],
        last: Collection[str],
    ) -> None:
        self._relay = relay
        self._deadlines = relay.deadlines
        self._now = relay.clock.now
        self._begin = start
        self._report = report
        self._counts = counts
        self._serves = serves
        self._begun_s = 0.0
        self._waiting = sorted(relay.links, key=lambda link: link.name in last)  # not asked yet in this round
        self._running: list[Attempt[P, T]] = []  # without a result yet, the most preferred first
        self._attempts: list[Attempt[P, T]] = []  # all of them, for the end
        self._serving = ""
        self._lost: SwitchReason | None = None  # why the serving one does not serve any more, until the next is known
        self._error: ProviderError | None = None
        self._last_round = False
        self._waiter: asyncio.Future[None] | None = None

    async def items(self) -> AsyncGenerator[T | Restart, None]:
        self._begun_s = self._now()
        worth_s = self._relay.worth_s
        given = False
        try:
            while True:
                attempt = await self._first_result()
                self._serves(attempt.link.name)
                if given:
                    yield RESTART
                while True:
                    while attempt.items:
                        given = True
                        item = attempt.take()
                        attempt.worth_s += worth_s(item)
                        yield item
                    if attempt.ended:
                        break
                    await self._further_result(attempt)
                if attempt.error is None:
                    self._succeeded(attempt)
                    return
                self._failed(attempt, attempt.error)
        finally:
            for attempt in self._attempts:
                attempt.permit.give_up()
                attempt.stop()
            await self._relay.part([attempt.task for attempt in self._attempts])

    async def _first_result(self) -> Attempt[P, T]:
        """Starts links until one has a result. Raises ``ProviderError`` when none is left."""
        while True:
            if not self._running and not self._start():
                await self._next_round()
                continue
            for attempt in self._running:
                if attempt.has_result:
                    return self._won(attempt)
            if self._drop_failed():
                continue
            now_s = self._now()
            wake_s = min(attempt.begun_s + self._limit_s(attempt) for attempt in self._running)
            if self._deadlines.hedge_s and len(self._running) == 1 and self._others():
                hedge_s = self._running[0].begun_s + self._deadlines.hedge_s
                if hedge_s <= now_s + _INSTANT_S:
                    self._start()
                    continue
                wake_s = min(wake_s, hedge_s)
            await self._news(wake_s - now_s)

    def _drop_failed(self) -> bool:
        """Takes those out of the race that failed or are late; whether there was one."""
        now_s = self._now() + _INSTANT_S
        for attempt in self._running:
            error = attempt.error
            if error is None and attempt.begun_s + (limit_s := self._limit_s(attempt)) <= now_s:
                error = self._late(attempt, limit_s)
            if error is not None:
                self._running.remove(attempt)
                self._failed(attempt, error)
                return True
        return False

    def _limit_s(self, attempt: Attempt[P, T]) -> float:
        """How long it may take to its first result."""
        if len(self._running) > 1 or self._others():
            return self._deadlines.first_s
        if self._last_round:
            return self._begun_s + self._deadlines.patience_s - attempt.begun_s
        return self._deadlines.patience_s

    async def _further_result(self, attempt: Attempt[P, T]) -> None:
        """Waits for news of the one that serves; ends it where it is late."""
        begun_s = now_s = self._now()
        while True:
            limit_s = self._deadlines.patience_s
            if self._others():
                limit_s = self._deadlines.gap_s
                limit_s = max(0.0, min(limit_s, limit_s + attempt.worth_s - attempt.waited_s))
            if now_s + _INSTANT_S >= begun_s + limit_s:
                attempt.end(self._late(attempt, now_s - begun_s))
                return
            await self._news(begun_s + limit_s - now_s)
            now_s = self._now()
            if attempt.items or attempt.ended:
                attempt.waited_s += now_s - begun_s
                return

    def _others(self) -> bool:
        """Whether somebody could take over who was not asked yet."""
        return any(link.breaker.would_admit for link in self._waiting)

    def _start(self) -> bool:
        """Starts the next link that is admitted, if there is one."""
        while self._waiting:
            link = self._waiting.pop(0)
            permit = link.breaker.admit()
            if permit is None:
                continue
            attempt = Attempt(link, permit, self._begin(link), self._now(), self._wake)
            self._running.append(attempt)
            self._attempts.append(attempt)
            if not self._serving:
                self._serving = link.name
            elif self._lost is not None:
                self._hand_over(link.name, self._lost)
            return True
        return False

    def _won(self, winner: Attempt[P, T]) -> Attempt[P, T]:
        for loser in self._running:
            if loser is winner:
                continue
            loser.end()
            if loser.link.name == self._serving:
                loser.permit.failure()
                self._relay.faults[loser.link.name] = ProviderFault.TIMEOUT
                self._hand_over(winner.link.name, SwitchReason.HEDGE)
            else:
                loser.permit.give_up()
                self._waiting.insert(0, loser.link)
        self._running = []
        return winner

    def _failed(self, attempt: Attempt[P, T], error: ProviderError) -> None:
        attempt.end(error)
        self._error = error
        if self._counts(error):
            self._relay.faults[attempt.link.name] = error.category
            tell_breaker(attempt.permit, error)
        else:
            attempt.permit.give_up()
        log.warning(
            "a provider failed",
            stage=self._relay.what,
            provider=attempt.link.name,
            category=error.category.value,
            error=str(error),
        )
        if attempt.link.name == self._serving:
            self._lost = SwitchReason(error.category.value)
            if self._running:
                self._hand_over(self._running[0].link.name, self._lost)

    def _succeeded(self, attempt: Attempt[P, T]) -> None:
        attempt.permit.success()
        if not attempt.permit.is_probe:
            return
        links = self._relay.links
        place = links.index(attempt.link)
        if not any(link.breaker.would_admit for link in links[:place]):
            backup = next((link.name for link in links[place + 1 :] if link.breaker.would_admit), "")
            self._report(Switch(backup, attempt.link.name, SwitchReason.RECOVERED))

    def _hand_over(self, provider: str, reason: SwitchReason) -> None:
        previous, self._serving, self._lost = self._serving, provider, None
        if previous != provider:  # a second try of the same one is no change
            self._report(Switch(previous, provider, reason))

    async def _next_round(self) -> None:
        """Another round after a pause, or the end: raises ``ProviderError``."""
        error = self._error
        if error is None:
            preferred = self._relay.links[0].name
            fault = self._relay.faults.get(preferred, ProviderFault.NETWORK)
            self._report(Switch(preferred, "", SwitchReason(fault.value)))
            names = ", ".join(link.name for link in self._relay.links)
            what = f"{self._relay.what}: {names} failed repeatedly and rest; nobody is asked until the first rested"
            raise ProviderError(what, category=fault, retryable=False)
        pause_s = PAUSE_S * (0.5 + self._relay.jitter())
        left_s = self._begun_s + self._deadlines.patience_s - self._now()
        usable = any(link.breaker.would_admit for link in self._relay.links)
        if self._last_round or not error.retryable or pause_s >= left_s or not usable:
            self._report(Switch(self._serving, "", SwitchReason(error.category.value)))
            raise error
        await asyncio.sleep(pause_s)
        self._last_round = True
        self._waiting = list(self._relay.links)

    def _late(self, attempt: Attempt[P, T], limit_s: float) -> ProviderError:
        what = f"{self._relay.what}: {attempt.link.name} sent nothing for {limit_s:.3g} s, or too little"
        return ProviderError(what, category=ProviderFault.TIMEOUT)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _news(self, within_s: float) -> None:
        """Returns at the next change of an attempt, or when the time is over."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(within_s, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None
