"""What the two listening APIs have in common, as the recogniser sees them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from voice_agent.providers.deepgram.connection import Params
from voice_agent.providers.deepgram.transcript import Segment


class Gives(Enum):
    """What a message of the vendor means for the utterance, besides its words."""

    WORDS = auto()
    FINAL = auto()  # a pause, or a likely end of the turn
    TURN_END = auto()  # the vendor is sure that the turn is over
    RESUMED = auto()  # the likely end was none


@dataclass(slots=True)
class Heard:
    """One message. ``processed_s``: how far the vendor has listened, on the call's time line. ``segment``: the newest guess
    about what follows the settled audio, or with ``settled`` its last word on it. ``answers``: this is what ``Finalize``
    brought about."""

    processed_s: float
    segment: Segment | None = None
    settled: bool = False
    gives: Gives = Gives.WORDS
    answers: bool = False


class Api(Protocol):
    """One version of the listening API, for one connection at a time."""

    path: str
    params: Params
    chunk_bytes: int  # audio is sent in pieces of at least this size, except before a request to finalize
    piece_bytes: int  # and in pieces of at most this size
    finalize: str  # the message that asks for a final; empty where there is none
    keep_alive: str  # sent while no audio flows; empty where there is none
    farewell: str

    def opened(self) -> None:
        """A new connection: nothing of the old one holds any more."""

    def read(self, message: bytes | str, origin_s: float) -> Heard | None:
        """What a message says; ``None`` for one that says nothing about speech. ``origin_s``: where the connection's own
        time 0 lies in the call. Raises ``ProviderError`` for an error message, and for one that breaks the protocol."""
