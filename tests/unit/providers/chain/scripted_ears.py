"""A recogniser that follows a script, on the loop's clock."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from voice_agent.errors import BugError
from voice_agent.models import UtteranceId
from voice_agent.providers.asr.base import AsrCapabilities, AsrEvent, Final, Partial

HANG = 1e6


@dataclass
class Ears:
    """A ``RecognizerFactory``. A final's text is the audio of its utterance in the letters that the test pushes
    (``b"a" * n``), without repetitions; one that is ``deaf`` hears no words. ``answer_s`` is how long a final takes."""

    answer_s: float = 0.0
    open_s: float = 0.0
    wants_silence: bool = False
    open_error: Exception | None = None
    lose: Exception | None = None
    deaf: bool = False
    confidence: float = 1.0
    locales: tuple[str, ...] = ()
    opened: list[Recognizer] = field(default_factory=list)
    open_now: int = 0

    @property
    def capabilities(self) -> AsrCapabilities:
        return AsrCapabilities(self.wants_silence, self.locales)

    async def warm_up(self) -> None: ...

    @asynccontextmanager
    async def open(self, *, locale: str, hints: tuple[str, ...]) -> AsyncIterator[Recognizer]:
        self.open_now += 1
        try:
            if self.open_s:
                await asyncio.sleep(self.open_s)
            if self.open_error is not None:
                raise self.open_error
            recognizer = Recognizer(self)
            self.opened.append(recognizer)
            yield recognizer
        finally:
            self.open_now -= 1

    def break_off(self, error: Exception) -> None:
        """The one that was opened last loses its connection."""
        self.opened[-1].out.put_nowait(error)


class Recognizer:
    def __init__(self, ears: Ears) -> None:
        self.ears = ears
        self.capabilities = ears.capabilities
        self.begun: list[UtteranceId] = []
        self.heard = bytearray()  # of the utterance
        self.all = bytearray()
        self.finalized = 0
        self.out: asyncio.Queue[AsrEvent | Exception | None] = asyncio.Queue()

    def begin(self, utterance_id: UtteranceId) -> None:
        self.begun.append(utterance_id)
        self.heard = bytearray()

    def push(self, pcm: bytes) -> None:
        if not self.begun and not self.capabilities.wants_silence:
            raise BugError("push before begin")
        if self.ears.lose is not None:
            raise self.ears.lose
        self.heard += pcm
        self.all += pcm

    def finalize(self) -> None:
        if not self.begun:
            raise BugError("finalize before begin")
        self.finalized += 1
        utterance_id, text = self.begun[-1], "" if self.ears.deaf else spelled(self.heard)
        final = Final(utterance_id, text, self.ears.confidence)
        asyncio.get_running_loop().call_later(self.ears.answer_s, self.out.put_nowait, final)

    def say(self, text: str) -> None:
        self.out.put_nowait(Partial(self.begun[-1], text))

    async def events(self) -> AsyncIterator[AsrEvent]:
        while (event := await self.out.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event


def spelled(pcm: bytes | bytearray) -> str:
    """The letters of which the audio is made, without repetitions."""
    return re.sub(r"(.)\1*", r"\1", pcm.decode())
