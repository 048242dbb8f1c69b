"""A call has the words, the voice, the tools, the knowledge and the handover of the agent that takes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.unit.call.scripted import Caller, World, answer, asks_tool
from tests.virtual_time import run_virtual

from voice_agent.agents.agent_file import load_agent
from voice_agent.conversation.agent import AgentProfile
from voice_agent.models import Meaning, PolicyAction, PolicyReason, Role, ToolStatus, TransferTarget
from voice_agent.tools.base import Tool, ToolAnswer, ToolContext
from voice_agent.tools.transfer import transfer_tool

BANK = """
name: bank
persona: {en: You speak for Northwind Bank.}
greeting: {en: [Northwind Bank., How may I help?]}
phrases: {es: {still_there: "¿Sigue en la línea, por favor?"}}
tools: [balance]
knowledge: [bank_faq]
policy: {abuse: escalate, needs_identity: continue}
transfer:
  desk: {purpose: all else}
  fraud: {purpose: stolen cards, address: "tel:+15550190", reasons: [fraud_report]}
voices: {en: nova}
keywords: {en: [Northwind]}
limits: {max_turns: 1}
"""


def bank(folder: Path, text: str = BANK) -> AgentProfile:
    path = folder / "bank.yaml"
    path.write_text(text, "utf-8")
    return load_agent(path)


class Noting:
    """A tool that remembers who asked."""

    def __init__(self, name: str) -> None:
        self.contexts: list[ToolContext] = []
        schema: Mapping[str, Any] = {"type": "object", "properties": {}}
        self.tool = Tool(name, "a tool", schema, self._handle, fallback="Sorry, no.")

    async def _handle(self, arguments: Mapping[str, Any], context: ToolContext) -> ToolAnswer:
        self.contexts.append(context)
        return ToolAnswer({"total": "12"})


def play(caller: Callable[[], Caller], scene: Callable[[Caller], Awaitable[None]]) -> Caller:
    played: list[Caller] = []

    async def main() -> None:
        played.append(caller())
        await scene(played[0])
        if not played[0].running.done():
            await played[0].hangs_up()

    run_virtual(main())
    return played[0]


def test_words_voice_persona_and_keywords_are_the_agents(tmp_path: Path) -> None:
    world = World(words=["What do you do?"])
    agent = bank(tmp_path)

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.speaks()
        await caller.listens(3)

    played = play(lambda: Caller(world, agent=agent), scene)
    assert played.last("call_start").agent == "bank"
    greeting = next(record.entry for record in played.records if record.entry.name == "say")
    assert greeting.segments == ("Northwind Bank.", "How may I help?")  # type: ignore[union-attr]
    assert world.voices == {"nova"}
    assert world.hints[0] == "Northwind"
    system = world.requests[0].messages[0]
    assert system.role is Role.SYSTEM
    assert system.text.startswith("You speak for Northwind Bank.")
    assert "fraud: stolen cards" in system.text


def test_a_tool_of_another_agent_is_neither_offered_nor_run(tmp_path: Path) -> None:
    balance, orders = Noting("balance"), Noting("order_status")
    world = World(
        words=["What do I have?"], rounds=[asks_tool("order_status"), asks_tool("balance"), answer("Twelve.")]
    )
    agent = bank(tmp_path)

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.speaks()
        await caller.listens(5)

    played = play(lambda: Caller(world, balance.tool, orders.tool, agent=agent), scene)
    assert [definition.name for definition in world.requests[0].tools] == ["balance"]
    results = [record.entry.result for record in played.records if record.entry.name == "tool_result"]  # type: ignore[union-attr]
    assert [(result.name, result.status, result.reason) for result in results] == [
        ("order_status", ToolStatus.DENIED, "unknown_tool"),
        ("balance", ToolStatus.OK, ""),
    ]
    assert "order_status" not in results[0].data["error"]
    assert orders.contexts == []
    assert balance.contexts[0].knowledge == ("bank_faq",)


def test_policy_and_limits_are_the_agents(tmp_path: Path) -> None:
    world = World(words=["Where is my parcel?", "You fool."], meanings=[Meaning.NEEDS_IDENTITY, Meaning.ABUSE])
    agent = bank(tmp_path, BANK.replace("max_turns: 1", "max_turns: 5"))

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.speaks()
        await caller.listens(4)
        await caller.speaks()
        await caller.listens(4)

    played = play(lambda: Caller(world, agent=agent), scene)
    decisions = [record.entry.decision for record in played.records if record.entry.name == "policy_decision"]  # type: ignore[union-attr]
    assert [(decision.action, decision.reason) for decision in decisions] == [
        (PolicyAction.CONTINUE, PolicyReason.NONE),
        (PolicyAction.ESCALATE, PolicyReason.ABUSE),
    ]
    assert world.packets[0].agent == "bank"


def test_one_turn_too_many_is_handed_over(tmp_path: Path) -> None:
    world = World(words=["One.", "Two."])
    agent = bank(tmp_path)

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.says("One.")
        await caller.listens(4)
        await caller.says("Two.")
        await caller.listens(4)

    play(lambda: Caller(world, agent=agent), scene)
    assert [packet.reason for packet in world.packets] == [PolicyReason.MAX_TURNS]


def test_a_handover_goes_to_the_desk_for_it(tmp_path: Path) -> None:
    agent = bank(tmp_path)
    desk, fraud = TransferTarget("desk"), TransferTarget("fraud", "tel:+15550190")
    asked, lost = (asks_tool("transfer_to_human", f'{{"reason": "x", "target": "{to}"}}') for to in ("fraud", "moon"))
    cases = (
        (World(words=["My card was stolen."], meanings=[Meaning.FRAUD_REPORT]), fraud),
        (World(words=["A human, please."], meanings=[Meaning.HUMAN_WANTED]), desk),
        (World(words=["Something else."], rounds=[asked]), fraud),
        (World(words=["Something else."], rounds=[lost]), desk),
    )

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.speaks()
        await caller.listens(5)

    for world, target in cases:
        play(partial(Caller, world, transfer_tool(), agent=agent), scene)
        assert [packet.target for packet in world.packets] == [target]


def test_a_language_without_words_of_the_agents_own_has_the_locales(tmp_path: Path) -> None:
    agent = bank(tmp_path)
    world = World()

    async def scene(caller: Caller) -> None:
        await caller.until("reply_finished")
        await caller.listens(15)

    played = play(lambda: Caller(world, agent=agent, locale="es-ES"), scene)
    said = [record.entry.segments for record in played.records if record.entry.name == "say"]  # type: ignore[union-attr]
    assert said[0][0] == "Hola, soy el asistente virtual."
    assert said[1] == ("¿Sigue en la línea, por favor?",)
    assert world.voices == {""}
