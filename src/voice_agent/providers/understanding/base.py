"""The protocol by which a caller turn gets its policy-relevant meanings."""

from __future__ import annotations

from typing import Protocol

from voice_agent.models import MeaningScore


class Understanding(Protocol):
    """Shared by the process. Gives the accepted and near-miss classes of one caller turn, best first; never empty
    (``Meaning.NONE`` stands for "nothing policy acts on"). Raises ``ProviderError``."""

    async def warm_up(self) -> None: ...

    async def meanings(self, text: str, *, locale: str) -> tuple[MeaningScore, ...]: ...
