from __future__ import annotations

import asyncio
import json
import re
from types import MappingProxyType

import pytest
from sqlalchemy import text
from tests.unit.store.conftest import WallClock

from voice_agent.errors import StoreError
from voice_agent.models import CallId, ContextPacket, PolicyReason, ToolResult, ToolStatus, TransferTarget
from voice_agent.store.database import Database
from voice_agent.store.handovers import CallbackHandovers


def packet(call_id: str = "call-1") -> ContextPacket:
    result = ToolResult("t1", "order_status", ToolStatus.OK, MappingProxyType({"orders": [{"order_id": "83102"}]}))
    return ContextPacket(
        call_id=CallId(call_id),
        caller_id=" 15550100",
        verified=True,
        locale="en-US",
        reason=PolicyReason.HUMAN_REQUESTED,
        summary="Asks about order 83102.",
        transcript=(("caller", "Where is it?"), ("agent", "It's on its way – größtenteils.")),
        tool_results=(result,),
        agent="bank",
        target=TransferTarget("desk", "tel:+15550190"),
    )


async def test_a_recorded_packet_is_found_under_its_reference(database: Database, clock: WallClock) -> None:
    handovers = CallbackHandovers(database, clock)
    receipt = await handovers.record(packet())
    assert re.fullmatch(r"CB-[2-9A-Z]{5}", receipt.reference)
    assert not receipt.connected
    stored = await handovers.find(receipt.reference)
    assert stored is not None
    assert json.loads(json.dumps(stored)) == {
        "call_id": "call-1",
        "caller_id": " 15550100",
        "verified": True,
        "locale": "en-US",
        "reason": "human_requested",
        "agent": "bank",
        "target": {"name": "desk", "address": "tel:+15550190"},
        "summary": "Asks about order 83102.",
        "transcript": [
            {"speaker": "caller", "text": "Where is it?"},
            {"speaker": "agent", "text": "It's on its way – größtenteils."},
        ],
        "tool_results": [
            {"name": "order_status", "status": "ok", "reason": "", "data": {"orders": [{"order_id": "83102"}]}}
        ],
    }


async def test_one_call_has_one_callback_however_often_it_is_recorded(database: Database, clock: WallClock) -> None:
    handovers = CallbackHandovers(database, clock)
    receipts = await asyncio.gather(*(handovers.record(packet()) for _ in range(5)))
    assert len({receipt.reference for receipt in receipts}) == 1
    assert len(await handovers.newest()) == 1


async def test_the_newest_handovers_come_first(database: Database, clock: WallClock) -> None:
    handovers = CallbackHandovers(database, clock)
    for number in range(3):
        await handovers.record(packet(f"call-{number}"))
        clock.advance(1)
    assert [stored["call_id"] for _, stored in await handovers.newest(2)] == ["call-2", "call-1"]
    assert await handovers.find("CB-NONE0") is None


async def test_a_broken_database_is_told(database: Database, clock: WallClock) -> None:
    async with database.begin() as connection:
        await connection.execute(text("DROP TABLE handovers"))
    with pytest.raises(StoreError):
        await CallbackHandovers(database, clock).record(packet())
