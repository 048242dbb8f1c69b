from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.agents.conftest import Write

from voice_agent.agents.agent_file import load_agent
from voice_agent.agents.doubts import doubts_of
from voice_agent.conversation.locales import LOCALES
from voice_agent.conversation.machine import MachineSettings
from voice_agent.errors import ConfigError
from voice_agent.models import Meaning, PolicyAction, PolicyReason

DOCS = Path(__file__).parents[3] / "docs" / "agents.md"


def test_the_shipped_agent_speaks_for_the_demo_shop_in_every_language() -> None:
    agent = load_agent(None)
    assert agent.name == "juniper-and-pine"
    for tag in LOCALES:
        row = agent.locale(tag)
        assert row.prompts.greeting != LOCALES[tag].prompts.greeting
        assert row.system_prompt.endswith(f"\n{LOCALES[tag].system_prompt}")


def test_the_example_of_the_documentation_is_an_agent(write: Write) -> None:
    (example,) = re.findall(r"```yaml\n(version: .*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    agent = load_agent(write("bank.yaml", example))
    row = agent.locale("")
    assert (agent.name, row.tag, row.voice) == ("bank", "en-US", "nova")
    assert row.asr_hints[:3] == ("Northwind", "IBAN", "standing order")
    assert row.system_prompt.startswith("You are the telephone assistant of Northwind Bank.")
    assert "fraud: cards lost or stolen" in row.system_prompt
    assert row.prompts.handover_callback[0].startswith("A colleague will call you back.")
    assert row.prompts.fillers == LOCALES["en-US"].prompts.fillers
    assert [name in agent.tools for name in ("knowledge_base", "transfer_to_human", "cancel_order")] == [
        True,
        True,
        False,
    ]
    assert agent.rules.action_for(Meaning.ABUSE, PolicyAction.BLOCK) is PolicyAction.ESCALATE
    machine = agent.machine_settings(MachineSettings(idle_prompt_s=7))
    assert (machine.max_turns, machine.session_ttl_s, machine.idle_prompt_s) == (30, 900, 7)
    assert machine.endpointing.order_digits == 8


def test_every_key_of_the_file_is_in_the_documentation() -> None:
    from voice_agent.agents.agent_file import AgentFile, LimitsEntry

    text = DOCS.read_text("utf-8")
    missing = [
        key
        for key in (*AgentFile.model_fields, *LimitsEntry.model_fields)
        if key != "version" and f"`{key}`" not in text
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("name: Bank", 1, "name"),
        ("name: bank\ngreting: {en: hi}", 2, "Extra inputs"),
        ("name: bank\n\npersona: {xx: Hi}", 3, "neither a language nor a locale"),
        ("name: bank\nlocale: en", 2, "there is no locale 'en'"),
        ("name: bank\nphrases:\n  en:\n    hello: [Hi]", 4, "no phrase of this name"),
        ("name: bank\nphrases:\n  en:\n    pin_wrong: ['No, {name}.']", 4, "{name} has no value"),
        ("name: bank\ngreeting:\n  en: ['Hi {reference}']", 3, "it has no fields"),
        ("name: bank\nphrases:\n  en:\n    handover_callback: ['It is {reference. Bye.']", 4, "the braces do not fit"),
        (
            "name: bank\nphrases:\n  en:\n    handover_callback: ['It is {reference.real}.']",
            4,
            "{reference.real} has no value",
        ),
        ("name: bank\nphrases:\n  en:\n    pin_incomplete: ['All {expected!x}.']", 4, "{expected!x} has no value"),
        ("name: bank\nphrases:\n  en:\n    pin_wrong: ['Say }your PIN']", 4, "the braces do not fit"),
        ("name: bank\npersona: &a [*a]", 1, "holds itself"),
        ("name: bank\ntitle: x\x00", 2, "not valid YAML"),
        ("name: bank\nlimits: {max_turns: 99999999999999999999}", 2, "less than or equal to 10000"),
        ("name: bank\nlimits: {session_ttl_s: inf}", 2, "finite"),
        ("name: bank\nknowledge: [shop-es]", 2, "ends in '-es'"),
        (
            "name: bank\ntransfer:\n  a: {purpose: x, reasons: [card_details]}",
            3,
            "nobody is handed over for 'card_details'",
        ),
        ("name: bank\ngreeting: {en: Hi}\nphrases:\n  en: {greeting: [Hi]}", 2, "another greeting"),
        ("name: bank\npolicy:\n  emergency: continue", 3, "the same for every agent"),
        ("name: bank\npolicy:\n  abuse: authenticate", 3, "use one of block, continue, escalate"),
        ("name: bank\npolicy:\n  rudeness: block", 3, "policy.rudeness"),
        ("name: bank\ntransfer:\n  desk: {purpose: all, address: 'http://desk'}", 3, "address"),
        (
            "name: bank\ntransfer:\n  a: {purpose: x, reasons: [fraud_report]}\n  b: {purpose: y, reasons: [fraud_report]}",
            4,
            "goes to 'a' already",
        ),
        ("name: bank\ntools: [a, a]", 2, "stands here twice"),
        ("name: bank\nnumbers: [call us]", 2, "no telephone number"),
        ("name: bank\nlimits: {max_turns: 0}", 2, "greater than or equal to 1"),
        ("name: bank\nname: shop", 2, "twice"),
        ("name: bank\ntools: [a\n", 3, "not valid YAML"),
        ("name: bank\nversion: 2", 2, "less than or equal to 1"),
        ("{}", 1, "name"),
    ],
)
def test_a_mistake_is_told_with_its_line(write: Write, text: str, line: int, says: str) -> None:
    path = write("bank.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_agent(path)
    assert str(caught.value).startswith(f"{path}:{line}:")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_agent_without_collections_looks_nothing_up(write: Write) -> None:
    agent = load_agent(write("mute.yaml", "name: mute\nknowledge: []"))
    assert [name in agent.tools for name in ("knowledge_base", "order_status")] == [False, True]


def test_a_tag_goes_before_its_language_and_any_language_before_none(write: Write) -> None:
    text = "name: bank\nlocale: en-GB\npersona: {en: English., en-GB: British.}\nvoices: {en: ann, en-AU: bob}"
    agent = load_agent(write("bank.yaml", text))
    assert agent.locale("en-GB").system_prompt.startswith("British.")
    assert agent.locale("en-US").system_prompt.startswith("English.")
    assert agent.locale("fr-FR").system_prompt.startswith("British.")  # the persona, in the words of its own language
    assert [agent.locale(tag).voice for tag in ("en-US", "en-AU", "fr-FR")] == ["ann", "bob", ""]


def test_where_a_handover_goes(write: Write) -> None:
    fraud, desk = "fraud: {purpose: x, reasons: [fraud_report]}", "desk: {purpose: y, address: 'tel:+1555'}"
    text = f"name: bank\ntransfer:\n  {fraud}\n  {desk}"
    rules = load_agent(write("bank.yaml", text)).rules

    def target(reason: PolicyReason, wanted: str = "") -> str:
        found = rules.target_for(reason, wanted)
        assert found is not None
        return found.name

    assert target(PolicyReason.FRAUD_REPORT) == "fraud"
    assert target(PolicyReason.HUMAN_REQUESTED) == "desk"
    assert target(PolicyReason.MODEL_REQUESTED, "fraud") == "fraud"
    assert target(PolicyReason.MODEL_REQUESTED, "the moon") == "desk"
    only = load_agent(write("only.yaml", f"name: only\ntransfer:\n  {fraud}")).rules
    assert only.target_for(PolicyReason.HUMAN_REQUESTED) is None


def test_a_persona_in_another_language_is_better_than_none(write: Write) -> None:
    agent = load_agent(write("bank.yaml", "name: bank\npersona: {es: Hablas por el banco.}"))
    assert agent.locale("fr-FR").system_prompt.startswith("Hablas por el banco.")


def test_what_is_more_likely_not_meant_is_doubted(write: Write) -> None:
    plain = "name: bank\npersona: {en: You.}\norder_number_digits: 5"
    assert doubts_of(load_agent(write("a.yaml", plain)), secret_lengths=frozenset({4, 6})) == []
    odd = load_agent(
        write(
            "b.yaml",
            "name: bank\nknowledge: [faq]\ntools: [x]\norder_number_digits: 6\ngreeting: {en: Hi., es: Hola.}\n"
            "transfer: {fraud: {purpose: x, reasons: [fraud_report]}}",
        )
    )
    told = " | ".join(doubts_of(odd, secret_lengths=frozenset({4, 6})))
    for piece in ("no persona", "will not look anything up", "have 6 digits", "ask for ar, fr hear", "has reasons"):
        assert piece in told, piece
