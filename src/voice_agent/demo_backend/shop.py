"""What the shop can do: the operations behind its API. Who the caller is, somebody else has made sure of."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import date

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from voice_agent.clock import Clock
from voice_agent.demo_backend import rules
from voice_agent.demo_backend import tables as t
from voice_agent.demo_backend.database import ShopDatabase
from voice_agent.demo_backend.idempotency import Answer, Wanted, Work, Write, write_once
from voice_agent.demo_backend.problems import Code, ProblemError
from voice_agent.demo_backend.reading import page_of_orders, read_order
from voice_agent.demo_backend.wire import (
    Address,
    AddressRequest,
    AddressUpdated,
    CallbackRequest,
    CallbackTaken,
    CancelRequest,
    Delivery,
    ItemHead,
    Order,
    OrderCancelled,
    OrderPage,
    OrderState,
    ReturnRequest,
    ReturnStarted,
)
from voice_agent.store.records import OrderStatus

_PHONE = re.compile(r"\+[0-9]{7,15}")  # E.164
_REFERENCE_DIGITS = 6  # what somebody can write down while listening


class Shop:
    """Every method raises ``ProblemError`` for a business answer and ``StoreError`` where the database fails."""

    def __init__(self, database: ShopDatabase, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def _today(self) -> date:
        return self._clock.wall().date()

    async def orders(self, caller_id: str, state: OrderState, limit: int) -> OrderPage:
        async with self._database.read() as connection:
            return await page_of_orders(connection, caller_id, state, limit)

    async def order(self, caller_id: str, order_id: str) -> Order:
        async with self._database.read() as connection:
            return await _existing(connection, caller_id, order_id)

    async def delivery(self, caller_id: str, order_id: str) -> Delivery:
        return rules.delivery_of(await self.order(caller_id, order_id), self._today())

    async def start_return(
        self, caller_id: str, order_id: str, key: str, request: ReturnRequest, wanted: Wanted
    ) -> Answer:
        async def work(connection: AsyncConnection) -> tuple[int, ReturnStarted]:
            order = await _existing(connection, caller_id, order_id, lock=True)
            parts = rules.parts_to_return(order, request.condition, request.items, self._today())
            return_id = _new_reference("R")
            refund_cents = sum(part.item.unit_price_cents * part.quantity for part in parts)
            await self._record_return(connection, order, return_id, request, parts)
            await self._refund(connection, order, refund_cents, return_id=return_id)
            return 201, ReturnStarted(
                order_id=order.order_id,
                return_id=return_id,
                items=[ItemHead(name=part.item.name, quantity=part.quantity) for part in parts],
                refund_cents=refund_cents,
                currency=order.currency,
                send_back=rules.needs_sending_back(parts, request.condition),
            )

        return await self._once(Write(caller_id, key, "start_return", order_id, request, wanted), work)

    async def cancel(self, caller_id: str, order_id: str, key: str, request: CancelRequest, wanted: Wanted) -> Answer:
        async def work(connection: AsyncConnection) -> tuple[int, OrderCancelled]:
            order = await _existing(connection, caller_id, order_id, lock=True)
            rules.check_cancellable(order)
            await connection.execute(
                update(t.orders)
                .where(t.orders.c.order_id == order.order_id)
                .values(status=OrderStatus.CANCELLED.value, estimated_delivery=None)
            )
            refund_id = await self._refund(connection, order, order.total_cents, paid=True)
            return 200, OrderCancelled(
                order_id=order.order_id,
                status=OrderStatus.CANCELLED,
                refund_id=refund_id,
                refund_cents=order.total_cents,
                currency=order.currency,
            )

        return await self._once(Write(caller_id, key, "cancel_order", order_id, request, wanted), work)

    async def change_address(
        self, caller_id: str, order_id: str, key: str, request: AddressRequest, wanted: Wanted
    ) -> Answer:
        async def work(connection: AsyncConnection) -> tuple[int, AddressUpdated]:
            order = await _existing(connection, caller_id, order_id, lock=True)
            rules.check_address(order, request.country)
            kept = order.address
            address = Address(
                recipient=request.recipient or kept.recipient,
                street=request.street,
                extra=request.extra,
                city=request.city,
                region=kept.region if request.region is None else request.region,
                postal_code=request.postal_code,
                country=kept.country,
            )
            address_id = _new_reference("A")
            await connection.execute(
                insert(t.addresses).values(address_id=address_id, caller_id=caller_id, **address.model_dump())
            )
            await connection.execute(
                update(t.orders).where(t.orders.c.order_id == order.order_id).values(address_id=address_id)
            )
            return 200, AddressUpdated(order_id=order.order_id, address=address)

        return await self._once(Write(caller_id, key, "update_address", order_id, request, wanted), work)

    async def request_callback(self, caller_id: str, key: str, request: CallbackRequest, wanted: Wanted) -> Answer:
        """Calls go to the number the caller called from, never to one that was said."""

        async def work(connection: AsyncConnection) -> tuple[int, CallbackTaken]:
            if not _PHONE.fullmatch(caller_id):
                raise ProblemError(Code.NO_NUMBER, "There is no telephone number to call back.")
            open_ones = select(func.count()).where(t.callbacks.c.caller_id == caller_id, t.callbacks.c.status == "open")
            if (await connection.execute(open_ones)).scalar_one() >= rules.CALLBACKS_OPEN_MAX:
                raise ProblemError(Code.TOO_MANY_CALLBACKS, "Several callbacks are on their way already.")
            callback_id = _new_reference("C")
            await connection.execute(
                insert(t.callbacks).values(
                    callback_id=callback_id,
                    caller_id=caller_id,
                    topic=request.topic,
                    preferred=request.preferred.value,
                    status="open",
                    created_at_s=self._clock.wall().timestamp(),
                )
            )
            return 201, CallbackTaken(callback_id=callback_id, preferred=request.preferred)

        return await self._once(Write(caller_id, key, "callback_request", "", request, wanted), work)

    async def _once(self, write: Write, work: Work) -> Answer:
        return await write_once(self._database, write, self._clock.wall().timestamp(), work)

    async def _record_return(
        self,
        connection: AsyncConnection,
        order: Order,
        return_id: str,
        request: ReturnRequest,
        parts: Sequence[rules.ReturnPart],
    ) -> None:
        await connection.execute(
            insert(t.returns).values(
                return_id=return_id,
                order_id=order.order_id,
                status="requested",
                condition=request.condition.value,
                reason=request.reason,
                requested_on=self._today(),
            )
        )
        await connection.execute(
            insert(t.return_lines),
            [
                {
                    "return_id": return_id,
                    "order_id": order.order_id,
                    "position": part.item.position,
                    "quantity": part.quantity,
                }
                for part in parts
            ],
        )

    async def _refund(
        self, connection: AsyncConnection, order: Order, cents: int, *, return_id: str | None = None, paid: bool = False
    ) -> str:
        """Money for what comes back is paid when it has come; that of a cancelled order at once."""
        refund_id = _new_reference("F")
        await connection.execute(
            insert(t.refunds).values(
                refund_id=refund_id,
                order_id=order.order_id,
                return_id=return_id,
                amount_cents=cents,
                status="paid" if paid else "pending",
                requested_on=self._today(),
                paid_on=self._today() if paid else None,
            )
        )
        return refund_id


async def _existing(connection: AsyncConnection, caller_id: str, order_id: str, *, lock: bool = False) -> Order:
    order = await read_order(connection, caller_id, order_id, lock=lock)
    if order is None:
        raise rules.not_found()
    return order


def _new_reference(kind: str) -> str:
    """Such as "R-482913". Who draws one that is taken meets the primary key, and the write is begun anew."""
    low = 10 ** (_REFERENCE_DIGITS - 1)
    return f"{kind}-{low + secrets.randbelow(9 * low)}"
