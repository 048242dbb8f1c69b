"""Providers that follow a script, on the loop's clock: a script is a list of steps, one script per request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from voice_agent.clock import Clock, LoopClock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.chain.base import Link, StageDeadlines, Switch
from voice_agent.providers.circuit_breaker import CircuitBreaker
from voice_agent.providers.llm.base import LlmEvent, LlmFinished, LlmRequest, TextDelta

Step = float | Exception | Any  # a float waits that many seconds, an exception is raised, all else is given
Script = Sequence[Step]

HANG = 1e6
DEADLINES = StageDeadlines(first_s=1.0, gap_s=0.5, hedge_s=0.0, patience_s=2.0)
HEDGED = StageDeadlines(first_s=1.0, gap_s=0.5, hedge_s=0.4, patience_s=2.0)


def failure(category: ProviderFault = ProviderFault.NETWORK, **more: Any) -> ProviderError:
    return ProviderError(f"scripted: {category}", category=category, **more)


@dataclass
class Scripted:
    """A language model and a synthesiser in one. The last script is used again for all further requests. ``closed_at``
    tells when each request's stream was left, ``asked`` what was asked for and when."""

    scripts: Sequence[Script]
    sample_rate_hz: int = 24_000
    asked: list[tuple[float, Any]] = field(default_factory=list)
    closed_at: list[float] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0
    linger_s: float = 0.0
    warm_error: Exception | None = None
    warm: bool = False

    async def warm_up(self) -> None:
        if self.warm_error is not None:
            raise self.warm_error
        self.warm = True

    def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        return self._run(request)

    def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        return self._run(text)

    async def _run(self, asked: Any) -> AsyncIterator[Any]:
        loop = asyncio.get_running_loop()
        script = self.scripts[min(len(self.asked), len(self.scripts) - 1)]
        self.asked.append((loop.time(), asked))
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            for step in script:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.closed_at.append(loop.time())
            self.running -= 1
            if self.linger_s:
                await asyncio.sleep(self.linger_s)


def text(*words: str) -> list[LlmEvent]:
    return [*map(TextDelta, words), LlmFinished()]


def breaker(clock: Clock | None = None, *, threshold: int = 3) -> CircuitBreaker:
    return CircuitBreaker(failure_threshold=threshold, recovery_s=15, clock=clock or LoopClock())


def links(**providers: Any) -> list[Link[Any]]:
    return [Link(name, provider, breaker()) for name, provider in providers.items()]


@dataclass
class Reports:
    switches: list[Switch] = field(default_factory=list)

    def __call__(self, switch: Switch) -> None:
        self.switches.append(switch)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(switch.previous, switch.provider, switch.reason.value) for switch in self.switches]


def other_tasks() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()]
