"""The text embedding protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Embedder(Protocol):
    """Shared by the process. ``embed`` gives one unit-length float32 row of ``dimensions`` per text, shape
    (len(texts), dimensions), computed off the event loop. ``embed_now`` is the same on the calling thread."""

    dimensions: int

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]: ...

    def embed_now(self, texts: Sequence[str]) -> NDArray[np.float32]: ...
