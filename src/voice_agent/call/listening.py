"""From the caller's audio to facts: voice detection and recognition, and nothing decided here.

The path of a frame is plain function calls on the event loop: hop by hop through the voice detector, and to the recogniser
while an utterance is open. Each onset hands the recogniser the audio just before it too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack

from voice_agent.audio.echo import EchoMeter
from voice_agent.audio.frames import FrameAssembler
from voice_agent.audio.level import SILENCE_DBFS, speech_level_dbfs
from voice_agent.audio.vad import SpeechBegan, SpeechEnded, SpeechGate
from voice_agent.call.door import HEAR_RATE_HZ
from voice_agent.call.services import CallServices
from voice_agent.conversation.events import (
    ProviderSwitched,
    SpeechStarted,
    SpeechStopped,
    Stage,
    StageFailed,
    TranscriptFinal,
    TranscriptPartial,
    TurnScored,
)
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import Final, Partial, SpeechRecognizer
from voice_agent.providers.chain.base import Switch

# Audio before the detected onset that belongs to the first word.
PRE_ROLL_S = 0.224
# What the level of speech and its likeness to the agent's own audio are measured on: enough to tell, and not yet old.
MEASURED_S = 0.6
# What the end-of-turn model looks at.
TURN_MODEL_WINDOW_S = 8.0
# Partials may come more often than there is something new to measure, and measuring takes up to a millisecond. Any longer
# would judge the first words by the level at their onset, which is that of somebody further away.
MEASURE_EVERY_S = 0.1

Heard = (
    SpeechStarted | SpeechStopped | TranscriptPartial | TranscriptFinal | TurnScored | StageFailed | ProviderSwitched
)
Redact = Callable[[Partial | Final], tuple[str, int]]


class Listening:
    """One call's ears. ``redact`` gives the text as it may go on and the count of secret digits taken out of it."""

    def __init__(
        self,
        services: CallServices,
        post: Callable[[Heard], None],
        redact: Redact,
        *,
        locale: str,
        hints: tuple[str, ...],
        echo: EchoMeter,
    ) -> None:
        self._services = services
        self._echo = echo
        self._settings = services.settings
        self._post = post
        self._redact = redact
        self._locale = locale
        self._hints = hints
        self._detector = services.detectors.open(self._hop, self._deaf)
        self._hop_bytes = self._detector.hop_samples * 2
        self._hop_s = self._detector.hop_samples / HEAR_RATE_HZ
        self._assembler = FrameAssembler(self._hop_bytes)
        self._gate = SpeechGate(
            threshold=self._settings.vad_threshold,
            speech_start_s=self._settings.speech_start_s,
            speech_stop_s=self._settings.speech_stop_s,
            hop_s=self._hop_s,
        )
        self._media_s = 0.0
        self._pre_roll: deque[bytes] = deque(maxlen=max(1, round(PRE_ROLL_S / self._hop_s)))
        self._recent: deque[bytes] = deque(maxlen=round(TURN_MODEL_WINDOW_S / self._hop_s))
        self._newest: deque[bytes] = deque(maxlen=round(MEASURED_S / self._hop_s))
        self._measured_s = 0.0
        self._measures: tuple[float, float | None] = (SILENCE_DBFS, None)
        self._newest_partial: Partial | None = None
        self._utterance_id: UtteranceId | None = None
        self._speech_began_s = 0.0
        self._last_media_at = services.clock.now()
        self._recognizer: SpeechRecognizer | None = None

    # Audio in

    def hear(self, pcm: bytes) -> None:
        """16-bit mono PCM at 16 kHz, any whole number of samples. Never blocks for long."""
        self._last_media_at = self._services.clock.now()
        self._take(pcm)

    def _take(self, pcm: bytes) -> None:
        if self._recognizer is not None and self._recognizer.capabilities.wants_silence:
            self._recognizer.push(pcm)  # at once: it need not wait for a hop to be full
        for hop in self._assembler.push(pcm):
            self._detector.push(hop)

    def _deaf(self, error: ProviderError) -> None:
        self._post(StageFailed(Stage.ASR, error.category.value))

    def _hop(self, hop: bytes, probability: float) -> None:
        self._media_s += self._hop_s
        fact = self._gate.update(probability, self._media_s)
        feeding = self._utterance_id is not None
        self._newest.append(hop)
        if feeding:
            self._recent.append(hop)
        else:
            self._pre_roll.append(hop)
        if feeding and self._recognizer is not None and not self._recognizer.capabilities.wants_silence:
            self._recognizer.push(hop)
        match fact:
            case SpeechBegan(at_s=at_s):
                self._speech_began_s = at_s
                level_dbfs, echo = self._measured()
                self._post(SpeechStarted(self._media_s - at_s, level_dbfs, echo))
            case SpeechEnded(last_voiced_s=last_voiced_s):
                voiced_s = last_voiced_s - self._speech_began_s
                level_dbfs, echo = self._measured()
                self._post(SpeechStopped(self._media_s - last_voiced_s, voiced_s, level_dbfs, echo))
            case None:
                pass

    def _measured(self, *, at_least_every_s: float = 0.0) -> tuple[float, float | None]:
        """The level (dBFS) of the newest audio, and the share of its power that is the agent's own; what was measured
        less than ``at_least_every_s`` of media ago will do."""
        if self._media_s - self._measured_s >= at_least_every_s:
            self._measured_s = self._media_s
            self._measures = self._measure()
        return self._measures

    def _measure(self) -> tuple[float, float | None]:
        hops = tuple(self._newest)
        echo = self._echo.share(b"".join(hops), self._services.clock.now())
        return round(speech_level_dbfs(hops), 1), None if echo is None else round(echo, 3)

    # The machine's wishes

    def open_utterance(self, utterance_id: UtteranceId) -> None:
        """The caller began something new; the audio kept from before the onset belongs to it."""
        self._utterance_id = utterance_id
        self._recent.clear()
        self._recent.extend(self._pre_roll)
        if self._recognizer is not None:
            self._recognizer.begin(utterance_id)
            if not self._recognizer.capabilities.wants_silence:
                for hop in self._pre_roll:
                    self._recognizer.push(hop)
        self._pre_roll.clear()

    def close_utterance(self) -> None:
        """The turn was committed or dropped; until the next onset nothing is recognised."""
        self._utterance_id = None

    def finalise(self) -> None:
        if self._recognizer is not None:
            self._recognizer.finalize()

    async def score(self, utterance_id: UtteranceId) -> None:
        """Asks the end-of-turn model about the utterance so far; no answer in time means no opinion."""
        pcm = b"".join(self._recent)
        try:
            async with asyncio.timeout(self._settings.turn_model_s):
                probability = await self._services.turn_model.completeness(pcm)
        except (TimeoutError, ProviderError):
            return
        self._post(TurnScored(utterance_id, round(probability, 4)))

    def close(self) -> None:
        """The call is over: nothing more is heard."""
        self._detector.close()

    # Recognition out

    async def run(self) -> None:
        """Relays the recogniser's events until cancelled; a lost recogniser is reported, and the call decides."""
        async with AsyncExitStack() as stack:
            try:
                recognizer = await stack.enter_async_context(
                    self._services.recognizers.open(locale=self._locale, hints=self._hints, report=self._switched)
                )
                self._recognizer = recognizer
                if self._utterance_id is not None:
                    recognizer.begin(self._utterance_id)
                async for event in recognizer.events():
                    self._relay(event)
                self._post(StageFailed(Stage.ASR, ProviderFault.EMPTY.value))  # it ended while the call goes on
            except ProviderError as error:
                self._post(StageFailed(Stage.ASR, error.category.value))
            finally:
                self._recognizer = None

    def _relay(self, event: Partial | Final) -> None:
        if event.utterance_id != self._utterance_id:  # it is over, and its secret digits have been counted
            return
        if isinstance(event, Partial):
            if event == self._newest_partial:  # streaming recognisers repeat themselves several times a second
                return
            self._newest_partial = event
        text, secret_digits = self._redact(event)
        if isinstance(event, Partial):
            confidence = round(event.confidence, 4)
            level_dbfs, echo = self._measured(at_least_every_s=MEASURE_EVERY_S)
            self._post(
                TranscriptPartial(
                    event.utterance_id, text, secret_digits, confidence, level_dbfs, echo, resumed=event.resumed
                )
            )
        else:
            confidence = round(event.confidence, 4)
            self._post(TranscriptFinal(event.utterance_id, text, confidence, secret_digits, event.ends_turn))

    def _switched(self, switch: Switch) -> None:
        self._post(ProviderSwitched(Stage.ASR, switch.previous, switch.provider, switch.reason.value))

    async def fill_gaps(self) -> None:
        """A client that stops sending when its user stops talking would never be seen to pause: after a gap, silence
        takes the place of the missing audio, in real time."""
        gap_s = self._settings.media_gap_s
        silent_hop = bytes(self._hop_bytes)
        while True:
            await asyncio.sleep(gap_s / 2)
            now = self._services.clock.now()
            if now - self._last_media_at < gap_s or not (self._gate.speaking or self._utterance_id is not None):
                continue
            for _ in range(round(gap_s / 2 / self._hop_s)):
                self._take(silent_hop)
