"""A small shop behind the language model: a caller's orders and a few documents, answered with real tool results, and a
conversation that feeds them back as the call does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from voice_agent.conversation.confirmation import Agreement, agreement
from voice_agent.conversation.grounding import EvidenceBook
from voice_agent.conversation.locales import resolve_locale
from voice_agent.conversation.questions import open_question
from voice_agent.models import (
    CONFIRMATION_REQUIRED,
    CallId,
    Message,
    OpenQuestion,
    Role,
    ToolCall,
    ToolResult,
    ToolStatus,
)
from voice_agent.providers.embedding.minilm import MiniLmEmbedder
from voice_agent.providers.llm.base import (
    LanguageModel,
    LlmEvent,
    LlmFinished,
    LlmRequest,
    TextDelta,
    ToolCallRequested,
    ToolDefinition,
)
from voice_agent.rag.pipeline import KnowledgeBase
from voice_agent.tools.base import ToolContext
from voice_agent.tools.knowledge import knowledge_tool

GREETING = "Hello, this is the virtual assistant of Juniper and Pine. How can I help you?"
TOOL_NAMES = ("order_status", "knowledge_base", "transfer_to_human", "end_call")
ASKING = {
    "cancel_order": "Shall I cancel order {order_id}?",
    "start_return": "Shall I start a return for everything in order {order_id}?",
    "update_address": "Shall I send order {order_id} to {street}?",
    "callback_request": "Shall I have a colleague call you back, {preferred}?",
}
ALL_TOOL_NAMES = (*TOOL_NAMES, "list_orders", "delivery_estimate", *ASKING)
_MOST_ROUNDS = 4
_NOBODY = ToolContext(CallId("call"), "+15550100", verified=False, locale="en-US")

TENT: Mapping[str, Any] = {
    "order_id": "83240",
    "status": "processing",
    "placed_on": "2026-11-21",
    "estimated_delivery": "2026-11-27",
    "carrier": None,
    "items": [{"name": "two-person tent", "quantity": 1}, {"name": "down sleeping bag", "quantity": 2}],
    "total": 514.0,
    "currency": "USD",
}
JACKET: Mapping[str, Any] = {
    "order_id": "83102",
    "status": "in_transit",
    "placed_on": "2026-11-18",
    "estimated_delivery": "2026-11-24",
    "carrier": "UPS",
    "items": [{"name": "Trail Runner rain jacket", "quantity": 1}, {"name": "wool socks", "quantity": 3}],
    "total": 187.5,
    "currency": "USD",
}
MUGS: Mapping[str, Any] = {
    "order_id": "83117",
    "status": "delivered",
    "placed_on": "2026-11-10",
    "estimated_delivery": "2026-11-15",
    "delivered_on": "2026-11-14",
    "carrier": "USPS",
    "items": [{"name": "ceramic mug", "quantity": 4}],
    "total": 72.0,
    "currency": "USD",
}
ALL_ORDERS = (TENT, JACKET, MUGS)

DOCUMENTS = (
    ("Returns", "You can return anything within 30 days of delivery, as long as it is unused and still has its tags."),
    ("Returns: Returning in a store", "You can also bring a return to any of our stores. It is refunded on the spot."),
    ("Shipping costs", "Standard shipping costs 5 dollars and 95 cents. It is free for orders over 75 dollars."),
    ("Shipping costs: Express shipping", "Express shipping costs 14 dollars and 95 cents and takes 2 business days."),
    ("Store opening hours", "Our stores are open Monday to Saturday from 10 a.m. to 7 p.m. and on Sunday from 11 a.m."),
    ("Warranty", "Everything we sell has a 2 year warranty against defects. Tents and backpacks have 5 years."),
    ("Refunds", "Refunds are made within 5 business days after your return arrives at our warehouse."),
    ("Payment methods", "We accept Visa, Mastercard, PayPal, Apple Pay and Google Pay. We do not accept checks."),
)
_ANSWERABLE_COSINE = 0.42


@dataclass
class Shop:
    """Answers tool calls. ``broken``: tools that fail; ``refusals``: a tool's business answer; ``knowledge``: a knowledge
    base to ask instead of the few documents above. ``changes``: what callers have agreed to."""

    embedder: MiniLmEmbedder
    orders: Sequence[Mapping[str, Any]] = ALL_ORDERS
    verified: bool = True
    broken: frozenset[str] = frozenset()
    knowledge: KnowledgeBase | None = None
    refusals: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    changes: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    async def run(self, call: ToolCall, *, agreed: bool = False) -> ToolResult:
        arguments = json.loads(call.arguments)
        if call.name in ASKING and not agreed:
            spoken = ASKING[call.name].format(**{"preferred": "soon", **arguments})
            return ToolResult(call.call_id, call.name, ToolStatus.DENIED, {}, CONFIRMATION_REQUIRED, spoken)
        if call.name in self.broken:
            return ToolResult(
                call.call_id, call.name, ToolStatus.FAILED, reason="timeout", spoken="I can't reach that system."
            )
        if call.name in self.refusals:
            reason, data = self.refusals[call.name]
            return ToolResult(call.call_id, call.name, ToolStatus.BUSINESS_ERROR, data, reason)
        if call.name in ALL_TOOL_NAMES[len(TOOL_NAMES) :]:
            return ToolResult(call.call_id, call.name, ToolStatus.OK, self._done(call.name, arguments))
        if call.name == "order_status":
            return self._orders(call, arguments.get("order_id", ""))
        if call.name == "knowledge_base" and self.knowledge is not None:
            answer = await knowledge_tool(self.knowledge).handler(arguments, _NOBODY)
            return ToolResult(call.call_id, call.name, ToolStatus.OK, answer.data)
        if call.name == "knowledge_base":
            return ToolResult(call.call_id, call.name, ToolStatus.OK, self._search(arguments["query"]))
        assert call.name in TOOL_NAMES
        return ToolResult(call.call_id, call.name, ToolStatus.OK, {"accepted": True})

    def _orders(self, call: ToolCall, order_id: str) -> ToolResult:
        if not self.verified:
            return ToolResult(call.call_id, call.name, ToolStatus.DENIED, reason="identity_required")
        found = [order for order in self.orders if order_id in ("", order["order_id"])]
        if order_id and not found:
            data = {"orders": [], "order_id": order_id}
            return ToolResult(call.call_id, call.name, ToolStatus.BUSINESS_ERROR, data, reason="not_found")
        return ToolResult(call.call_id, call.name, ToolStatus.OK, {"orders": found, "more": 0})

    def _done(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """What became of a call of the shop's further tools."""
        if name == "list_orders":
            states = {"open": ("processing", "in_transit"), "delivered": ("delivered",)}.get(arguments["state"], ())
            return {"orders": [order for order in self.orders if order["status"] in states], "more": 0}
        order = next((order for order in self.orders if order["order_id"] == arguments.get("order_id")), None)
        if name == "delivery_estimate":
            assert order is not None
            window = {"earliest": order["estimated_delivery"], "latest": "2026-11-30", "delivered_on": None}
            return {**window, "order_id": order["order_id"], "status": order["status"], "parcels": []}
        self.changes.append((name, arguments))
        if order is None:
            return {"callback_id": "C-123456", "preferred": arguments.get("preferred", "soon")}
        if name == "start_return":
            items = arguments.get("items") or order["items"]
            done = {"return_id": "R-482913", "items": items, "refund": 36.5, "currency": "USD", "send_back": True}
            return {"order_id": order["order_id"], **done}
        refund = {"refund": order["total"], "currency": order["currency"], "status": "cancelled"}
        return {"order_id": order["order_id"], **(refund if name == "cancel_order" else {})}

    def _search(self, query: str) -> dict[str, Any]:
        vectors = self.embedder.embed_now([query, *(f"{title}. {text}" for title, text in DOCUMENTS)])
        cosines = vectors[1:] @ vectors[0]
        order = cosines.argsort()[::-1][:4]
        passages = [
            {"title": DOCUMENTS[i][0], "text": DOCUMENTS[i][1], "source": "shop", "score": float(cosines[i])}
            for i in order
        ]
        confidence = float(cosines.max())
        return {"answerable": confidence >= _ANSWERABLE_COSINE, "confidence": confidence, "passages": passages}


@dataclass
class Turn:
    """What one caller turn led to; ``calls`` are (tool, arguments); ``denied``: one of them wants an identity first."""

    text: str
    calls: list[tuple[str, dict[str, Any]]]
    denied: bool = False

    @property
    def tools(self) -> list[str]:
        return [name for name, _ in self.calls]


@dataclass
class Conversation:
    """A dialogue with a language model, by text, with the tool loop of a call."""

    model: LanguageModel
    shop: Shop
    tools: tuple[str, ...] = TOOL_NAMES
    messages: list[Message] = field(default_factory=lambda: [Message(Role.AGENT, GREETING)])
    waiting: ToolCall | None = None

    async def say(self, text: str) -> Turn:
        agreed, self.waiting = self.waiting, None
        self.messages.append(Message(Role.CALLER, text))
        if agreed is not None and agreement(text, resolve_locale("en-US")) is Agreement.YES:
            self._exchanged(agreed, await self.shop.run(agreed, agreed=True))
        return await self.answer()

    def _exchanged(self, call: ToolCall, result: ToolResult) -> None:
        self.messages.append(Message(Role.AGENT, "", tool_calls=(call,)))
        self.messages.append(Message(Role.TOOL, "", tool_result=result))

    async def answer(self) -> Turn:
        turn = Turn("", [])
        for _ in range(_MOST_ROUNDS):
            events = await self.round()
            turn.text += "".join(event.text for event in events if isinstance(event, TextDelta))
            calls = [event.call for event in events if isinstance(event, ToolCallRequested)]
            for call in calls:
                turn.calls.append((call.name, json.loads(call.arguments)))
                result = await self.shop.run(call)
                turn.denied |= result.reason == "identity_required"
                self._exchanged(call, result)
                if result.reason == CONFIRMATION_REQUIRED:
                    turn.text, self.waiting = result.spoken, replace(call, call_id=f"{call.call_id}-agreed")
            if self.waiting is not None:  # the call asks the caller itself, and says nothing of the model's
                self.messages.append(Message(Role.AGENT, turn.text))
                return turn
            if not calls or {"transfer_to_human", "end_call"} & set(turn.tools):
                break
        if turn.text:
            assert EvidenceBook().of(self.messages).ungrounded(turn.text) == (), (
                turn.text
            )  # else a call would not say it
            self.messages.append(Message(Role.AGENT, turn.text))
        return turn

    async def round(self) -> list[LlmEvent]:
        events = [event async for event in self.model.stream(self.request())]
        assert isinstance(events[-1], LlmFinished)
        return events

    def request(self) -> LlmRequest:
        return LlmRequest(
            messages=(Message(Role.SYSTEM, "You are the telephone assistant."), *self.messages),
            tools=tuple(ToolDefinition(name, name, {"type": "object"}) for name in self.tools),
            open_question=self._asked(),
            verified=self.shop.verified,
        )

    def interrupt(self, heard_words: int) -> None:
        """The caller heard only the first words of the agent's last message."""
        last = self.messages[-1]
        assert last.role is Role.AGENT
        heard = " ".join(last.text.split()[:heard_words])
        self.messages[-1] = Message(Role.AGENT, heard, interrupted=True)

    def _asked(self) -> OpenQuestion:
        last = next((m.text for m in reversed(self.messages) if m.role is Role.AGENT and m.text), "")
        return open_question(last, "en-US")
