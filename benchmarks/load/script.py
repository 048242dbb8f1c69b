"""What every server under load does the same: the providers' script, its delays, and the marks in the caller's audio.

Standard library only: it runs in this project's environment and in those of the servers it is compared with.

The caller's audio carries marks at both ends of an utterance, 12 bytes in place of six samples: a scripted recogniser
reads them, so that recognition costs nothing and is exact, and everything behind it is work of the server. They are 40 dB
below full scale and 0.4 ms long: no voice detector hears them.

Delays in seconds: the final transcript comes ``RECOGNISE_S`` after the end mark, the model's first word
``FIRST_TOKEN_S`` after the request, further words at ``TOKENS_PER_S``, a synthesis's first audio ``FIRST_AUDIO_S`` after
its text, the rest at ``SYNTHESIS_SPEED`` times real time. So an answer takes ``FIXED_S`` at least (``FIXED_TOOL_S`` with a
tool, which needs a second request); what it takes beyond that is overhead.
"""

from __future__ import annotations

import asyncio
import os
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

RECOGNISE_S = 0.1
PARTIAL_EVERY_S = 0.1
FIRST_TOKEN_S = 0.2
TOKENS_PER_S = 100.0
TOOL_S = 0.05
FIRST_AUDIO_S = 0.1
SYNTHESIS_SPEED = 10.0
FIXED_S = RECOGNISE_S + FIRST_TOKEN_S + FIRST_AUDIO_S
FIXED_TOOL_S = FIXED_S + FIRST_TOKEN_S + TOOL_S

HEAR_RATE_HZ = 16_000
SPEAK_RATE_HZ = 24_000
CHUNK_S = 0.02
CHUNK_BYTES = round(SPEAK_RATE_HZ * CHUNK_S) * 2
SPEECH_S_PER_CHARACTER = 0.015

NORMAL, TOOL, BARGE_IN = 1, 2, 3  # kinds of utterance: plain, one that needs the tool, one that interrupts

_BEGIN = struct.pack("<4h", 0x0311, -0x0311, 0x0422, -0x0422)
_END = struct.pack("<4h", -0x0311, 0x0311, -0x0422, 0x0422)
MARK_BYTES = 12

ANSWER = (
    "Right, let me see for you. "
    "Your parcel left our depot this morning and the courier will ring you before he comes. "
    "You may pick another day on our website or ask me now and I will note it down."
)
TOKENS = tuple(word if not place else f" {word}" for place, word in enumerate(ANSWER.split()))

_ITEMS = (
    "tent stove jacket lantern backpack hammock kettle compass raincoat sweater canoe paddle sled cooler bottle mattress"
).split()
_PLACES = "Denver Boston Chicago Seattle Portland Austin Dallas Phoenix Atlanta Detroit Memphis Tucson Omaha".split()
_USES_TOOL = "look it up"


def mark(begins: bool, kind: int, number: int) -> bytes:
    """The 12 bytes that begin or end utterance ``number`` of its call."""
    return (_BEGIN if begins else _END) + struct.pack("<2h", kind, number % 32_768)


def transcript(kind: int, number: int) -> str:
    """What utterance ``number`` is recognised as: a plain question, another one each time."""
    item, place = _ITEMS[number % len(_ITEMS)], _PLACES[number % len(_PLACES)]
    question = f"how long the delivery of a {item} takes to {place}?"
    return f"Please {_USES_TOOL} {question}" if kind == TOOL else f"Could you tell me {question}"


def wants_tool(text: str) -> bool:
    return _USES_TOOL in text


class MarkedSpeech:
    """The recogniser of the script: ``feed`` it all audio of a call (16-bit mono, 16 kHz, chunks of any size).

    ``on_begin()`` is called at a begin mark, ``on_partial(text)`` each 100 ms of speech, ``on_final(text)``
    ``RECOGNISE_S`` after an end mark.
    """

    def __init__(
        self,
        *,
        on_begin: Callable[[], None],
        on_partial: Callable[[str], None],
        on_final: Callable[[str], None],
    ) -> None:
        self._on_begin = on_begin
        self._on_partial = on_partial
        self._on_final = on_final
        self._loop = asyncio.get_running_loop()
        self._tail = b""
        self._heard_bytes = 0
        self.speaking = False
        self._kind = self._number = self._partials = 0

    def feed(self, pcm: bytes) -> None:
        data = self._tail + pcm
        self._tail = data[1 - MARK_BYTES :]
        place = data.find(_BEGIN)
        if 0 <= place <= len(data) - MARK_BYTES:
            self._begin(*struct.unpack_from("<2h", data, place + 8))
        if self.speaking:
            self._heard_bytes += len(pcm)
            place = data.find(_END)
            if 0 <= place <= len(data) - MARK_BYTES:
                self._end()
            else:
                self._report()

    def _begin(self, kind: int, number: int) -> None:
        self.speaking, self._kind, self._number = True, kind, number
        self._heard_bytes = self._partials = 0
        self._on_begin()

    def _end(self) -> None:
        self.speaking = False
        self._loop.call_later(RECOGNISE_S, self._on_final, transcript(self._kind, self._number))

    def _report(self) -> None:
        heard_s = self._heard_bytes / (2 * HEAR_RATE_HZ)
        if heard_s >= (self._partials + 1) * PARTIAL_EVERY_S:
            self._partials += 1
            words = transcript(self._kind, self._number).split()
            self._on_partial(" ".join(words[: 2 + int(heard_s / 0.25)]))  # about four words a second


async def written() -> AsyncIterator[str]:
    """The model's answer, word by word at its pace."""
    await asyncio.sleep(FIRST_TOKEN_S)
    first_s = time.monotonic()
    for place, token in enumerate(TOKENS):
        wait_s = first_s + place / TOKENS_PER_S - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        yield token


def sentences(text: str) -> tuple[list[str], str]:
    """The finished sentences of a text so far, and what is left."""
    parts = [part.strip() for part in text.replace(".", ".\n").split("\n")]
    return [part for part in parts[:-1] if part], parts[-1]


class Voice:
    """Synthesis of the script: real speech, as long as the text is, each text going on where the last one ended."""

    def __init__(self) -> None:
        self._pcm = (speech_folder() / "agent.pcm").read_bytes()
        self._at = 0

    def say(self, text: str) -> bytes:
        """16-bit mono PCM at 24 kHz, whole chunks of 20 ms, none of them silent."""
        wanted = max(1, round(len(text) * SPEECH_S_PER_CHARACTER / CHUNK_S)) * CHUNK_BYTES
        if self._at + wanted > len(self._pcm):
            self._at = 0
        pcm = self._pcm[self._at : self._at + wanted]
        self._at += wanted
        return pcm

    async def synthesise(self, text: str) -> AsyncIterator[bytes]:
        """Chunks of 20 ms at the script's pace."""
        pcm = self.say(text)
        await asyncio.sleep(FIRST_AUDIO_S)
        first_s = time.monotonic()
        for place in range(0, len(pcm), CHUNK_BYTES):
            wait_s = first_s + place / CHUNK_BYTES * CHUNK_S / SYNTHESIS_SPEED - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            yield pcm[place : place + CHUNK_BYTES]


def speech_folder() -> Path:
    """Where ``load/speech.py`` puts the recordings; ``LOAD_SPEECH`` names another folder."""
    return Path(os.environ.get("LOAD_SPEECH") or Path(tempfile.gettempdir()) / "voice-agent-load-speech-1")
