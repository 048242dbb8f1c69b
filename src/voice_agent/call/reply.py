"""One reply, one task: text to speech to playout, and everything it started ends with it.

Two halves run side by side: one writes segments (fixed text, or the dialogue manager), one speaks them in order, so that
the first sentence is heard while the second is still being written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import structlog

from voice_agent.call.dialogue_manager import DialogueManager
from voice_agent.call.door import SPEAK_RATE_HZ
from voice_agent.call.playout import Playout
from voice_agent.call.services import CallServices
from voice_agent.conversation.commands import Say, StartReply
from voice_agent.conversation.events import (
    FillerSpoken,
    ProviderSwitched,
    ReplyFailed,
    SegmentWritten,
    Stage,
    SynthesisBegan,
    SynthesisFinished,
    SynthesisStarted,
)
from voice_agent.conversation.locales import LocaleProfile
from voice_agent.conversation.passages import PassageReader
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.models import Message, ReplyId
from voice_agent.providers.chain.base import Switch

# Segments that may be written ahead of the one being spoken; a model that writes faster waits.
_SEGMENTS_AHEAD = 8

Posted = (
    SegmentWritten
    | SynthesisStarted
    | SynthesisBegan
    | SynthesisFinished
    | FillerSpoken
    | ReplyFailed
    | ProviderSwitched
)

log = structlog.get_logger(__name__)


class _StageError(Exception):
    """A stage's failure: no provider of its chain gave a result."""

    def __init__(self, stage: Stage, error: ProviderError) -> None:
        super().__init__(str(error))
        self.stage = stage
        self.category = error.category.value


class ReplyRunner:
    """Runs one reply; the call's session owns and cancels the task. ``reveal`` gives back to the caller's ear what the text
    holds as placeholders."""

    def __init__(
        self,
        services: CallServices,
        dialogue: DialogueManager,
        playout: Playout,
        post: Callable[[Posted], None],
        *,
        locale: LocaleProfile,
        reveal: Callable[[str], str],
    ) -> None:
        self._services = services
        self._dialogue = dialogue
        self._playout = playout
        self._post = post
        self._locale = locale
        self._reveal = reveal
        self._spoken = 0  # segments whose audio is complete
        self._speaking = False  # in the middle of a segment's audio

    def fill(self, reply_id: ReplyId, text: str) -> None:
        """Bridges a silence by ``text``, which is prepared; does nothing where the caller hears, or is about to hear, the
        reply itself."""
        if self._speaking or not self._playout.is_silent(reply_id):
            return
        pcm = self._services.synthesizer.prepared(text, locale=self._locale.tag, voice=self._locale.voice)
        if pcm:
            self._post(FillerSpoken(reply_id, self._spoken, text, len(pcm) / (SPEAK_RATE_HZ * 2)))
            self._playout.fill(reply_id, pcm)

    async def run(self, command: Say | StartReply, history: tuple[Message, ...]) -> None:
        """Speaks the whole reply, for which playout has been made ready; posts ``ReplyFailed`` where a stage fails, once
        what there is of it has been heard. Cancellation stops synthesis and tools."""
        reply_id = command.reply_id
        segments: asyncio.Queue[str | None] = asyncio.Queue(_SEGMENTS_AHEAD)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._speak(reply_id, segments), name=f"speak-{reply_id}")
                await self._write(command, history, segments)
        except* _StageError as failures:
            first = _first(failures)
            log.warning("reply failed", reply_id=reply_id, stage=first.stage.value, category=first.category)
            await self._fail(reply_id, first.stage, first.category, exhausted=True)
        except* Exception:
            log.exception("reply failed unexpectedly", reply_id=reply_id)
            await self._fail(reply_id, Stage.LLM, ProviderFault.INTERNAL.value, exhausted=False)
        else:
            self._playout.complete(reply_id)

    async def _fail(self, reply_id: ReplyId, stage: Stage, category: str, *, exhausted: bool) -> None:
        await self._playout.until_silent(reply_id)
        heard_s = self._playout.cancel(reply_id)
        self._post(ReplyFailed(reply_id, stage, category, heard_s, exhausted))

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
            try:
                duration_s = await self._synthesize(reply_id, index, text)
            except ProviderError as error:
                raise _StageError(Stage.TTS, error) from error
            finally:
                self._speaking = False
            self._post(SynthesisFinished(reply_id, index, duration_s))
            index += 1
            self._spoken = index

    async def _synthesize(self, reply_id: ReplyId, index: int, text: str) -> float:
        """Speaks one segment; gives its duration in seconds."""
        byte_count = 0
        stream = self._services.synthesizer.synthesize(
            self._reveal(text), locale=self._locale.tag, voice=self._locale.voice, report=self._switched
        )
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                if not byte_count:
                    self._speaking = True
                    self._post(SynthesisBegan(reply_id, index))
                byte_count += len(chunk)
                await self._playout.write(reply_id, chunk)
        return byte_count / (SPEAK_RATE_HZ * 2)

    def _switched(self, switch: Switch) -> None:
        self._post(ProviderSwitched(Stage.TTS, switch.previous, switch.provider, switch.reason.value))


def _first(failures: BaseExceptionGroup[_StageError]) -> _StageError:
    error = failures.exceptions[0]
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
