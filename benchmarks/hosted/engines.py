"""Engines behind the stand-ins that cost nothing and say what the benchmark wants."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import overload

from voice_agent.dev_vendors.deepgram_engine import Ear, Listener
from voice_agent.dev_vendors.deepgram_scripted import ScriptedEar


class Spoken(Sequence[str]):
    """What the caller is saying now: the text that a scripted recogniser hears, on whichever connection."""

    def __init__(self) -> None:
        self.text = ""

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self.text if isinstance(index, int) else (self.text,)[index]


class SpokenEngine:
    """A ``HearingEngine`` that hears ``spoken``. Unlike a script by count it is right after a reconnect, too."""

    def __init__(self, spoken: Spoken, *, word_s: float = 0.25) -> None:
        self._spoken = spoken
        self._word_s = word_s

    @asynccontextmanager
    async def open(self, listener: Listener, *, locale: str, hints: tuple[str, ...]) -> AsyncIterator[Ear]:
        del locale, hints
        ear = ScriptedEar(listener, self._spoken, self._word_s)
        try:
            yield ear
        finally:
            ear.close()
