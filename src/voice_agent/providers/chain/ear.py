"""One provider's recogniser in one call: opened, fed and listened to by a task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import AsrEvent, RecognizerFactory, SpeechRecognizer
from voice_agent.providers.chain.base import Link, tell_breaker
from voice_agent.providers.circuit_breaker import Permit

# A probe that nobody speaks to for so long makes room for another call's: one at a time, but not one a call.
_PROBE_S = 10.0

log = structlog.get_logger(__name__)


class Hearing(Protocol):
    """Who is told what an ear does. All calls come on the event loop."""

    def opened(self, ear: Ear) -> None: ...

    def heard(self, ear: Ear, event: AsrEvent) -> None: ...

    def lost(self, ear: Ear, error: ProviderError) -> None: ...


class Ear:
    """``recognizer`` is ``None`` until it is open. Audio is not kept here: whoever owns the ear feeds it when it opens."""

    def __init__(
        self,
        link: Link[RecognizerFactory],
        permit: Permit,
        hearing: Hearing,
        *,
        locale: str,
        hints: tuple[str, ...],
        now_s: float,
    ) -> None:
        self.link = link
        self.name = link.name
        self.begun_s = now_s
        self.recognizer: SpeechRecognizer | None = None
        self._permit: Permit | None = permit
        self._hearing: Hearing | None = hearing
        self._timer = self._probe_timer()
        # Owned by the chained recogniser, which cancels it and waits for its end.
        self.task = asyncio.create_task(self._run(locale, hints), name=f"ear-{link.name}")

    @property
    def wants_silence(self) -> bool:
        return self.recognizer is not None and self.recognizer.capabilities.wants_silence

    # Each of these does nothing before the recogniser is open, and ends the ear where the provider raises.

    def begin(self, utterance_id: UtteranceId) -> None:
        if self.recognizer is not None:
            self._guarded(self.recognizer.begin, utterance_id)

    def push(self, pcm: bytes) -> None:
        if self.recognizer is not None:
            try:
                self.recognizer.push(pcm)
            except Exception as error:
                self._broken(error)

    def finalize(self) -> None:
        if self.recognizer is not None:
            self._guarded(self.recognizer.finalize)

    # The breaker. Between two outcomes no permit is held, so that a call which is silent keeps nobody from probing.

    def succeeded(self) -> None:
        permit = self._permit or self.link.breaker.admit()
        if permit is not None:
            permit.success()
        self._settle()

    def failed(self, error: ProviderError) -> None:
        permit = self._permit or self.link.breaker.admit()
        if permit is not None:
            tell_breaker(permit, error)
        self._settle()
        log.warning(
            "a provider failed",
            stage="recognition",
            provider=self.name,
            category=error.category.value,
            error=str(error),
        )

    def admitted(self) -> bool:
        """Whether it may serve now: a probe that was given up needs another permit."""
        if self._permit is None:
            self._permit = self.link.breaker.admit()
            if self._permit is not None:
                self._timer = self._probe_timer()
        return self._permit is not None

    def close(self) -> None:
        """Nothing is heard of it any more; its task ends soon."""
        self._hearing = None
        self._give_up()
        self.task.cancel()

    def _probe_timer(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(_PROBE_S, self._give_up)

    def _give_up(self) -> None:
        if self._permit is not None:
            self._permit.give_up()
        self._settle()

    def _settle(self) -> None:
        self._permit = None
        self._timer.cancel()

    def _guarded(self, call: Callable[..., None], *args: object) -> None:
        try:
            call(*args)
        except Exception as error:
            self._broken(error)

    async def _run(self, locale: str, hints: tuple[str, ...]) -> None:
        try:
            async with self.link.provider.open(locale=locale, hints=hints) as recognizer:
                self.recognizer = recognizer
                if self._hearing is not None:
                    self._hearing.opened(self)
                async for event in recognizer.events():
                    if self._hearing is None:
                        return
                    self._hearing.heard(self, event)
            what = f"{self.name} ended recognition while the call goes on"
            self._lose(ProviderError(what, category=ProviderFault.EMPTY))
        except Exception as error:
            self._broken(error)

    def _broken(self, error: Exception) -> None:
        if not isinstance(error, ProviderError):
            log.error("a provider failed in a way it should not", provider=self.name, exc_info=error)
            what = f"{self.name} failed unexpectedly ({type(error).__name__}); the log has the details"
            error = ProviderError(what, category=ProviderFault.INTERNAL)
        self._lose(error)

    def _lose(self, error: ProviderError) -> None:
        self.recognizer = None
        hearing, self._hearing = self._hearing, None
        if hearing is not None:
            hearing.lost(self, error)
