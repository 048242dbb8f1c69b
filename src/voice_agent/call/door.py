"""What a live call needs from its door, and what it offers the door."""

from __future__ import annotations

from typing import Protocol

from voice_agent.models import ReplyId

HEAR_RATE_HZ = 16_000  # what a call takes in
SPEAK_RATE_HZ = 24_000  # what a call gives out


class Door(Protocol):
    """The way out to one caller, implemented by each gateway.

    ``send_audio`` takes 16-bit little-endian mono PCM at 24 kHz (whole samples, about 20 ms); False says that it took
    nothing because the network is behind: that is the call's backpressure. ``clear`` asks the far side to drop what it
    has buffered of a reply. Both raise ``ConnectionError`` once the far side is gone. All on the event loop.
    """

    def send_audio(self, pcm: bytes) -> bool: ...

    def clear(self, reply_id: ReplyId) -> None: ...


class LiveCall(Protocol):
    """The way in to one call, used by each gateway. All four are plain calls on the event loop and never block.

    ``hear`` takes 16-bit little-endian mono PCM at 16 kHz, any whole number of samples. ``acknowledge`` says how much of
    a reply has been played, in seconds. ``hang_up`` may be called at any moment, more than once.
    """

    def hear(self, pcm: bytes) -> None: ...

    def press(self, key: str) -> None: ...

    def acknowledge(self, reply_id: ReplyId, played_s: float) -> None: ...

    def resume(self) -> None: ...

    def hang_up(self, reason: str) -> None: ...

    async def run(self) -> None: ...
