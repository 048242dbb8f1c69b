"""One reply, one task: text to speech to playout, and everything it started ends with it.

Two halves run side by side: one writes segments (fixed text, or the dialogue manager), one speaks them in order, so that
the first sentence is heard while the second is still being written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import structlog

from voice_agent.audio.resample import Resampler
from voice_agent.call.dialogue_manager import DialogueManager
from voice_agent.call.door import SPEAK_RATE_HZ
from voice_agent.call.playout import Playout
from voice_agent.call.services import CallServices
from voice_agent.call.streams import within
from voice_agent.conversation.commands import Say, StartReply
from voice_agent.conversation.events import (
    ReplyFailed,
    SegmentWritten,
    Stage,
    SynthesisBegan,
    SynthesisFinished,
    SynthesisStarted,
)
from voice_agent.conversation.passages import PassageReader
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import Message, ReplyId

# Segments that may be written ahead of the one being spoken; a model that writes faster waits.
_SEGMENTS_AHEAD = 8

Posted = SegmentWritten | SynthesisStarted | SynthesisBegan | SynthesisFinished | ReplyFailed

log = structlog.get_logger(__name__)


class _StageError(Exception):
    """A provider's failure, with the stage it belongs to."""

    def __init__(self, stage: Stage, error: ProviderError) -> None:
        super().__init__(str(error))
        self.stage = stage
        self.category = error.category.value


class ReplyRunner:
    """Runs replies of one call, one at a time; the call's session owns and cancels the task."""

    def __init__(
        self,
        services: CallServices,
        dialogue: DialogueManager,
        playout: Playout,
        post: Callable[[Posted], None],
        *,
        locale: str,
    ) -> None:
        self._services = services
        self._dialogue = dialogue
        self._playout = playout
        self._post = post
        self._locale = locale

    async def run(self, command: Say | StartReply, history: tuple[Message, ...]) -> None:
        """Speaks the whole reply, for which playout has been made ready; posts ``ReplyFailed`` where a stage fails.
        Cancellation stops synthesis and tools."""
        reply_id = command.reply_id
        segments: asyncio.Queue[str | None] = asyncio.Queue(_SEGMENTS_AHEAD)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._speak(reply_id, segments), name=f"speak-{reply_id}")
                await self._write(command, history, segments)
        except* _StageError as failures:
            first = _first(failures)
            log.warning("reply failed", reply_id=reply_id, stage=first.stage.value, category=first.category)
            self._fail(reply_id, first.stage, first.category)
        except* Exception:
            log.exception("reply failed unexpectedly", reply_id=reply_id)
            self._fail(reply_id, Stage.LLM, ProviderFault.INTERNAL.value)
        else:
            self._playout.complete(reply_id)

    def _fail(self, reply_id: ReplyId, stage: Stage, category: str) -> None:
        heard_s = self._playout.cancel(reply_id)
        self._post(ReplyFailed(reply_id, stage, category, heard_s))

    async def _write(
        self, command: Say | StartReply, history: tuple[Message, ...], segments: asyncio.Queue[str | None]
    ) -> None:
        index = 0
        passages = PassageReader()
        async with aclosing(self._texts(command, history)) as texts:
            async for segment in texts:
                for text, interruptible in passages.take(segment):
                    self._post(SegmentWritten(command.reply_id, index, text, interruptible))
                    index += 1
                    await segments.put(text)
        await segments.put(None)

    async def _texts(self, command: Say | StartReply, history: tuple[Message, ...]) -> AsyncGenerator[str, None]:
        if isinstance(command, Say):
            for text in command.segments:
                yield text
            return
        if command.lead_in:
            yield command.lead_in
        try:
            async with aclosing(self._dialogue.segments(command, history)) as written:
                async for text in written:
                    yield text
        except ProviderError as error:
            raise _StageError(Stage.LLM, error) from error

    async def _speak(self, reply_id: ReplyId, segments: asyncio.Queue[str | None]) -> None:
        index = 0
        while (text := await segments.get()) is not None:
            self._post(SynthesisStarted(reply_id, index))
            duration_s = await self._synthesize(reply_id, index, text)
            self._post(SynthesisFinished(reply_id, index, duration_s))
            index += 1

    async def _synthesize(self, reply_id: ReplyId, index: int, text: str) -> float:
        """Speaks one segment; gives its duration in seconds."""
        settings = self._services.settings
        synthesizer = self._services.synthesizer
        resampler = Resampler(synthesizer.sample_rate_hz, SPEAK_RATE_HZ)
        byte_count = 0
        stream = within(
            synthesizer.synthesize(text, locale=self._locale),
            first_s=settings.tts_first_s,
            gap_s=settings.tts_gap_s,
            what="synthesis",
        )
        try:
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    if not byte_count:
                        self._post(SynthesisBegan(reply_id, index))
                    pcm = resampler.process(chunk)
                    byte_count += len(pcm)
                    await self._playout.write(reply_id, pcm)
        except ProviderError as error:
            raise _StageError(Stage.TTS, error) from error
        tail = resampler.flush()
        await self._playout.write(reply_id, tail)
        return (byte_count + len(tail)) / (SPEAK_RATE_HZ * 2)


def _first(failures: BaseExceptionGroup[_StageError]) -> _StageError:
    error = failures.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
