"""Openers that fail harm nobody."""

from __future__ import annotations

import asyncio

import pytest
from tests.virtual_time import run_virtual

from voice_agent.errors import ProviderError, ProviderFault, ToolError
from voice_agent.providers.warmth import Warmth


@pytest.mark.parametrize(
    "failure",
    [
        ProviderError("refused", category=ProviderFault.AUTH),
        OSError("no route"),
        ToolError("closed"),
        ValueError("a defect"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_one_that_fails_keeps_no_other_from_opening(failure: Exception) -> None:
    opened: list[str] = []

    async def fails() -> None:
        raise failure

    async def hangs() -> None:
        await asyncio.sleep(1e6)

    async def opens() -> None:
        await asyncio.sleep(1)
        opened.append("line")

    async def main() -> None:
        warmth = Warmth()
        warmth.register("a", fails)
        warmth.register("b", hangs)
        warmth.register("c", opens)
        await warmth.warm()

    run_virtual(main(), limit_s=60)
    assert opened == ["line"]
