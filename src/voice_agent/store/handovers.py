"""Handover records: who waits for a human, why, and what was said."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from voice_agent.clock import Clock
from voice_agent.errors import StoreError
from voice_agent.models import CallId, ContextPacket, ToolResult, TransferReceipt
from voice_agent.store.callers import caller_key
from voice_agent.store.database import Database
from voice_agent.store.tables import handovers

#: Letters and digits that are not confused by ear or eye (no 0/O, 1/I/L, B/8, S/5, M/N, U/V).
_ALPHABET = "234679ACDEFGHJKPQRTWXYZ"
_REFERENCE_CHARS = 5  # 6.4 million references
_REFERENCE_ATTEMPTS = 8


class CallbackHandovers:
    """Records a callback for each call that asks for a human, where the channel itself cannot move the call."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record(self, packet: ContextPacket) -> TransferReceipt:
        """Stores the packet and gives its reference. A second record of one call gives the first one's reference, so a
        retry makes no second callback. Raises ``StoreError``."""
        for _ in range(_REFERENCE_ATTEMPTS):
            reference = "CB-" + "".join(secrets.choice(_ALPHABET) for _ in range(_REFERENCE_CHARS))
            try:
                async with self._database.begin() as connection:
                    await connection.execute(
                        insert(handovers).values(
                            reference=reference,
                            call_id=packet.call_id,
                            caller_id=caller_key(packet.caller_id),
                            reason=packet.reason.value,
                            created_at_s=self._clock.wall().timestamp(),
                            packet=packet_json(packet),
                        )
                    )
            except IntegrityError:
                known = await self._reference_of(packet.call_id)
                if known is None:  # the reference was taken, not the call: draw another
                    continue
                reference = known
            return TransferReceipt(reference, connected=False)
        raise StoreError("no free handover reference was found")

    async def find(self, reference: str) -> Mapping[str, Any] | None:
        """The stored packet under a reference, as JSON-able data. Raises ``StoreError``."""
        async with self._database.begin() as connection:
            found = await connection.execute(select(handovers.c.packet).where(handovers.c.reference == reference))
            packet: Mapping[str, Any] | None = found.scalar_one_or_none()
        return packet

    async def newest(self, limit: int = 50) -> tuple[tuple[str, Mapping[str, Any]], ...]:
        """(reference, packet) of the newest handovers. Raises ``StoreError``."""
        query = select(handovers.c.reference, handovers.c.packet).order_by(handovers.c.created_at_s.desc()).limit(limit)
        async with self._database.begin() as connection:
            return tuple((row.reference, row.packet) for row in await connection.execute(query))

    async def _reference_of(self, call_id: CallId) -> str | None:
        async with self._database.begin() as connection:
            found = await connection.execute(select(handovers.c.reference).where(handovers.c.call_id == call_id))
            return found.scalar_one_or_none()


def packet_json(packet: ContextPacket) -> dict[str, Any]:
    """The packet as JSON-able data."""
    return {
        "call_id": packet.call_id,
        "caller_id": packet.caller_id,
        "verified": packet.verified,
        "locale": packet.locale,
        "reason": packet.reason.value,
        "agent": packet.agent,
        "target": {"name": packet.target.name, "address": packet.target.address} if packet.target else None,
        "summary": packet.summary,
        "transcript": [{"speaker": speaker, "text": text} for speaker, text in packet.transcript],
        "tool_results": [_result_json(result) for result in packet.tool_results],
    }


def _result_json(result: ToolResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "status": result.status.value,
        "reason": result.reason,
        "data": dict(result.data),
    }
