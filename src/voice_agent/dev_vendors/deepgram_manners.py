"""How the Deepgram stand-in behaves where the vendor's own documents leave it open, or where a test cannot wait as long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# The vendor's reasons for closing, word for word: clients look for the address in them.
NO_AUDIO: Final = (
    "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001"
)
NO_ANSWER: Final = "Deepgram did not provide a response message within the timeout window. See https://dpgr.am/net0000"
NO_SUCH_AUDIO: Final = "Deepgram could not decode the audio data. See https://dpgr.am/data0000"


@dataclass(slots=True)
class DeepgramManners:
    """``answers_idle_finalize``: whether ``Finalize`` is answered when nothing is buffered. The vendor says that the answer
    (``from_finalize``) comes "in most cases" and is not guaranteed without a noticeable amount of audio, so a client must
    do with both. ``recycles_politely``: whether a session that is recycled in mid-call ends with close code 1000, or with
    1011 and the reason ``NO_ANSWER``. ``idle_s``: how long a session lives without audio or a message (the vendor: 10 s).
    ``flushes_per_minute``: how many ``Flush`` messages a speaking session takes.
    """

    answers_idle_finalize: bool = True
    recycles_politely: bool = False
    idle_s: float = 10.0
    flushes_per_minute: int = 20
