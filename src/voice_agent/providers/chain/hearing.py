"""One call's recognition by several providers in turn.

Rules:

1. One link is *current*: it hears the call, and its events are the call's. Of others nothing is given out.
2. The audio of the utterance is kept, so that whoever takes over hears it from the beginning, as fast as it takes it. A
   ``finalize`` that is not answered is asked again there. So each is answered by one ``Final``, or ``events`` raises.
3. A ``finalize`` unanswered for ``hedge_s`` opens the next admitted link *beside*; the first final wins. A current link that
   loses so has failed, as far as its breaker is concerned. Unanswered for ``first_s`` it has failed at any rate, and so has
   one that raises or ends: the next takes over. While nobody else could, the limit is ``patience_s``.
4. An empty final is doubted where another link could be asked: the one beside hears the utterance too, and takes over if it
   hears words and is rather sure of them. Otherwise the empty final is given. Without this a vendor that hears nothing would
   look like a silent caller.
5. The call stays with who took over. At the next utterance's beginning a preferred link that is admitted is opened *in
   reserve*; at the one after that it is current again, if it is open. The breaker admits one such probe at a time.
6. When all links failed, the last error invites another try, and ``patience_s`` since the trouble began are not over, there
   is one more round after a short pause. Then ``events`` raises the last error.
7. ``capabilities.wants_silence`` is what the current link wants. It changes only while no final is awaited: whoever feeds us
   passes from whole hops to raw chunks then, and loses or repeats up to a hop of audio, which is silence there. Until then a
   link that wants no silence is fed from the beginning on, and one that wants it makes do without.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from voice_agent.clock import Clock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import AsrCapabilities, AsrEvent, Final, Partial, RecognizerFactory
from voice_agent.providers.chain.base import PAUSE_S, Link, Report, StageDeadlines, Switch, SwitchReason
from voice_agent.providers.chain.ear import Ear
from voice_agent.providers.chain.utterance_audio import UtteranceAudio
from voice_agent.providers.circuit_breaker import Permit

# Instants closer than this are the same: sums of floats differ in their last digits.
_INSTANT_S = 1e-6
# Recognisers make words of noise now and then, and give those a low confidence.
_SURE = 0.5
_CLOSE_S = 1.0


def declared_by(link: Link[RecognizerFactory]) -> AsrCapabilities | None:
    """What the provider says it can do before it is opened; ``None`` where it does not say."""
    capabilities: AsrCapabilities | None = getattr(link.provider, "capabilities", None)
    return capabilities


class ChainedRecognizer:
    """A ``SpeechRecognizer``, made by ``RecognizerChain.open``. All methods belong to the event loop."""

    def __init__(
        self,
        links: Sequence[Link[RecognizerFactory]],
        deadlines: StageDeadlines,
        clock: Clock,
        report: Report,
        *,
        jitter: Callable[[], float],
        locale: str,
        hints: tuple[str, ...],
    ) -> None:
        self._links = tuple(links)
        self._deadlines = deadlines
        self._now = clock.now
        self._report = report
        self._jitter = jitter
        self._locale = locale
        self._hints = hints
        declared = [known for link in self._links if (known := declared_by(link)) is not None]
        locales = tuple(dict.fromkeys(locale for known in declared for locale in known.locales))
        self._feeds = {wants: AsrCapabilities(wants_silence=wants, locales=locales) for wants in (False, True)}
        self.capabilities = self._feeds[False]
        self._audio = UtteranceAudio()
        self._utterance_id: UtteranceId | None = None
        self._open = False  # an utterance has begun and its final is still to come
        self._asked_s: float | None = None  # since when a final is awaited
        self._doubted: Final | None = None
        self._current: Ear | None = None
        self._beside: Ear | None = None
        self._reserve: Ear | None = None
        self._serving = ""
        self._tried: set[str] = set()  # asked since all was well
        self._trouble_s: float | None = None  # when the first of them failed
        self._last_round = False
        self._timer: asyncio.TimerHandle | None = None
        self._out: deque[AsrEvent] = deque()
        self._news = asyncio.Event()
        self._failure: ProviderError | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    # The recogniser protocol

    def begin(self, utterance_id: UtteranceId) -> None:
        """Starts an utterance. A repeated id changes nothing."""
        if utterance_id == self._utterance_id:
            return
        self._utterance_id = utterance_id
        self._open = True
        self._out.clear()
        hears_all = self.capabilities.wants_silence
        self._audio.begin(keep_before=hears_all)
        self._all_is_well()
        if self._return_to_preferred():
            return
        if self._current is not None:
            self._current.begin(utterance_id)
            if hears_all and self._current is not None and not self._current.wants_silence:
                for piece in self._audio.pieces():
                    self._current.push(piece)

    def push(self, pcm: bytes) -> None:
        self._audio.push(pcm)
        if self._current is not None and (self._utterance_id is not None or self._current.wants_silence):
            self._current.push(pcm)
        if self._beside is not None:
            self._beside.push(pcm)

    def finalize(self) -> None:
        if self._utterance_id is None:
            return
        self._open = True
        self._asked_s = self._now()
        self._doubted = None
        if self._beside is not None:  # first: it takes the current one's place where that breaks
            self._beside.finalize()
        if self._current is not None:
            self._current.finalize()
        self._look()

    async def events(self) -> AsyncIterator[AsrEvent]:
        """For one consumer. Ends when the recogniser is left. Raises ``ProviderError`` when nothing works."""
        while True:
            while self._out:
                yield self._out.popleft()
            if self._failure is not None:
                raise self._failure
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()

    # Entered and left by the chain

    def enter(self) -> None:
        """Opens the preferred link that is admitted; does not wait for it."""
        self._current = self._open_next()
        if self._current is None:
            preferred = self._links[0]
            names = ", ".join(link.name for link in self._links)
            what = f"recognition: {names} failed repeatedly and rest; nobody is asked until the first rested"
            self._report(Switch(preferred.name, "", SwitchReason.NETWORK))
            self._give_up(ProviderError(what, category=ProviderFault.NETWORK, retryable=False))
            return
        self._serving = self._current.name
        declared = declared_by(self._current.link)
        self.capabilities = self._feeds[declared is not None and declared.wants_silence]

    async def leave(self) -> None:
        """Ends all work at once."""
        self._closed = True
        self._set_timer(None)
        for ear in (self._current, self._beside, self._reserve):
            if ear is not None:
                ear.close()
        self._current = self._beside = self._reserve = None
        self._out.clear()
        self._news.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSE_S)

    # What ears tell

    def opened(self, ear: Ear) -> None:
        if ear is self._reserve:
            return
        if ear is self._current and not self._open:
            self.capabilities = self._feeds[ear.wants_silence]
        self._feed_again(ear)

    def heard(self, ear: Ear, event: AsrEvent) -> None:
        if event.utterance_id != self._utterance_id:
            return
        if ear is self._beside:
            if isinstance(event, Final) and self._asked_s is not None:
                self._second_opinion(ear, event)
        elif ear is self._current:
            if isinstance(event, Partial):
                self._give(event)
            elif self._asked_s is not None and not event.text and self._others(beside=True):
                self._doubted = self._doubted or event
                self._open_beside()
                self._look()
            else:
                self._answered(ear, event)

    def lost(self, ear: Ear, error: ProviderError) -> None:
        ear.failed(error)
        ear.close()
        if ear is self._reserve:
            self._reserve = None
        elif ear is self._beside:
            self._beside = None
            self._look()
        elif ear is self._current:
            self._replace(error)

    # Answers

    def _answered(self, ear: Ear, final: Final) -> None:
        """The current one's final is the call's."""
        if self._asked_s is not None or final.text:
            ear.succeeded()
        self._all_is_well()
        self._open = False
        self.capabilities = self._feeds[ear.wants_silence]
        self._give(final)

    def _second_opinion(self, ear: Ear, final: Final) -> None:
        doubted, current = self._doubted, self._current
        if doubted is not None and current is not None:
            if not final.text or final.confidence < _SURE:
                self._answered(current, doubted)
                return
            what = f"{current.name} heard nothing where {ear.name} heard words"
            current.failed(ProviderError(what, category=ProviderFault.EMPTY))
            reason = SwitchReason.EMPTY
        else:
            if current is not None:
                what = f"{current.name} was later than {ear.name}, which was started after it"
                current.failed(ProviderError(what, category=ProviderFault.TIMEOUT))
            reason = SwitchReason.HEDGE
        if current is not None:
            current.close()
        self._current, self._beside = ear, None
        self._serves(ear, reason)
        self._answered(ear, final)

    def _give(self, event: AsrEvent) -> None:
        if self._out and isinstance(self._out[-1], Partial):
            self._out.pop()  # it covers the same utterance, and less of it
        self._out.append(event)
        self._news.set()

    # Who hears

    def _replace(self, error: ProviderError) -> None:
        """The current one failed and is closed."""
        if self._trouble_s is None:
            self._trouble_s = self._now()
        self._current = None
        if self._doubted is not None:  # it had answered before it failed
            doubted, trouble_s = self._doubted, self._trouble_s
            self._all_is_well()
            self._open, self._trouble_s = False, trouble_s
            self._give(doubted)
        beside, self._beside = self._beside, None
        self._current = successor = beside or self._next_ear()
        if successor is None:
            self._another_round(error)
            return
        self._serves(successor, SwitchReason(error.category.value))
        if not self._open:
            self.capabilities = self._feeds[successor.wants_silence]
        if successor is not beside:
            self._feed_again(successor)
        self._look()

    def _another_round(self, error: ProviderError) -> None:
        since_s = self._trouble_s if self._asked_s is None else self._asked_s
        pause_s = PAUSE_S * (0.5 + self._jitter())
        budget_s = (since_s or self._now()) + self._deadlines.patience_s - self._now()
        usable = any(link.breaker.would_admit for link in self._links)
        if self._last_round or not error.retryable or pause_s >= budget_s or not usable:
            self._report(Switch(self._serving, "", SwitchReason(error.category.value)))
            self._give_up(error)
            return
        self._last_round = True
        self._set_timer(pause_s, lambda: self._begin_round(error))

    def _begin_round(self, error: ProviderError) -> None:
        self._tried.clear()
        self._current = self._open_next()
        if self._current is None:
            self._report(Switch(self._serving, "", SwitchReason(error.category.value)))
            self._give_up(error)
            return
        self._serves(self._current, SwitchReason(error.category.value))
        self._look()

    def _give_up(self, error: ProviderError) -> None:
        self._failure = error
        self._set_timer(None)
        self._news.set()

    def _serves(self, ear: Ear, reason: SwitchReason) -> None:
        if ear.name != self._serving:
            self._report(Switch(self._serving, ear.name, reason))
            self._serving = ear.name

    def _return_to_preferred(self) -> bool:
        """At an utterance's beginning: whether a preferred one is current again. Else one is opened in reserve, if it
        may."""
        reserve, current = self._reserve, self._current
        if reserve is not None and reserve.recognizer is not None and reserve.admitted():
            if current is not None:
                current.close()
            self._current, self._reserve = reserve, None
            self._tried = {reserve.name}
            self._serves(reserve, SwitchReason.RECOVERED)
            reserve.begun_s = self._now()
            self._feed_again(reserve)
            return True
        if reserve is None and current is not None:
            for link in self._links[: self._links.index(current.link)]:
                permit = link.breaker.admit()
                if permit is not None:
                    self._reserve = self._ear(link, permit)
                    break
        return False

    def _feed_again(self, ear: Ear) -> None:
        """Gives one that has just opened, or been chosen, all of the utterance."""
        if self._utterance_id is None:
            return
        ear.begin(self._utterance_id)
        for piece in self._audio.pieces():
            ear.push(piece)
        if self._asked_s is not None:
            ear.finalize()

    def _others(self, *, beside: bool = False) -> bool:
        """Whether somebody else could be asked; ``beside`` counts the one that already is."""
        if self._beside is not None:
            return beside
        return self._reserve is not None or any(
            link.name not in self._tried and link.breaker.would_admit for link in self._links
        )

    def _next_ear(self) -> Ear | None:
        """Whoever comes next, to be fed again: the one in reserve, or else a link not tried yet, which opens now."""
        reserve, self._reserve = self._reserve, None
        if reserve is None:
            return self._open_next()
        if not reserve.admitted():
            reserve.close()
            return self._open_next()
        reserve.begun_s = self._now()
        return reserve

    def _open_next(self) -> Ear | None:
        for link in self._links:
            if link.name not in self._tried and (permit := link.breaker.admit()) is not None:
                return self._ear(link, permit)
        return None

    def _open_beside(self) -> None:
        if self._beside is None:
            self._beside = self._next_ear()
            if self._beside is not None:
                self._feed_again(self._beside)

    def _ear(self, link: Link[RecognizerFactory], permit: Permit) -> Ear:
        self._tried.add(link.name)
        ear = Ear(link, permit, self, locale=self._locale, hints=self._hints, now_s=self._now())
        self._tasks.add(ear.task)
        ear.task.add_done_callback(self._tasks.discard)
        return ear

    def _all_is_well(self) -> None:
        """A final has come, or an utterance begins: nothing is awaited."""
        self._asked_s = self._trouble_s = None
        self._doubted = None
        if self._beside is not None:
            self._beside.close()
            self._beside = None
        if self._current is not None:
            self._last_round = False
            self._tried = {ear.name for ear in (self._current, self._reserve) if ear is not None}
            self._set_timer(None)

    # Time

    def _look(self) -> None:
        """Is the awaited final late?"""
        current, asked_s = self._current, self._asked_s
        if current is None:
            return
        if asked_s is None:
            self._set_timer(None)
            return
        now_s = self._now() + _INSTANT_S
        since_s = max(asked_s, current.begun_s)
        if self._doubted is not None:
            if self._beside is None:
                self._open_beside()
            limit_s = self._beside.begun_s + self._deadlines.first_s if self._beside is not None else now_s
            if limit_s <= now_s:
                self._answered(current, self._doubted)
            else:
                self._set_timer(limit_s - now_s + _INSTANT_S)
            return
        wait_s = self._deadlines.first_s if self._others(beside=True) else self._deadlines.patience_s
        if since_s + wait_s <= now_s:
            what = f"recognition: {current.name} gave no final for {wait_s:.3g} s"
            self.lost(current, ProviderError(what, category=ProviderFault.TIMEOUT))
            return
        wake_s = since_s + wait_s
        if self._deadlines.hedge_s and self._others():
            hedge_s = since_s + self._deadlines.hedge_s
            if hedge_s <= now_s:
                self._open_beside()
            else:
                wake_s = min(wake_s, hedge_s)
        self._set_timer(wake_s - now_s + _INSTANT_S)

    def _set_timer(self, within_s: float | None, call: Callable[[], None] | None = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if within_s is not None:
            self._timer = asyncio.get_running_loop().call_later(within_s, call or self._look)
