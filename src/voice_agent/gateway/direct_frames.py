"""Frames beside ASGI: from the parser into the call and from the call into the socket by plain calls.

ASGI hands each frame to a task of its own and pauses the socket until that task has taken it. For 50 frames a second and
call in each direction that costs more than everything else done for a frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

EXTENSION: Final = "voice_agent.direct_frames"


class DirectFrames(Protocol):
    """One connection, offered by the server in the scope's extensions under ``EXTENSION``; all on the event loop.

    ``send_now`` writes one frame (bytes: binary, text: text) unless the socket is behind: then False, and nothing of it is
    sent. ``take_audio`` has each binary frame handed to ``sink`` as it arrives; one that the sink refuses by False comes
    by ASGI's ``receive``, as do text frames and the end.
    """

    def send_now(self, frame: bytes | str) -> bool: ...

    def take_audio(self, sink: Callable[[bytes], bool]) -> None: ...
