"""The dialogue as a server of chat completions gets it."""

from __future__ import annotations

import json

from voice_agent.models import Message, Role, ToolCall, ToolResult, ToolStatus
from voice_agent.providers.llm.base import ToolDefinition
from voice_agent.providers.openai_api.messages import chat_messages, chat_tools

SYSTEM = Message(Role.SYSTEM, "Be brief.")


def asked(*names: str) -> Message:
    return Message(Role.AGENT, "", tool_calls=tuple(ToolCall(f"call_{n}", n, f'{{"n": "{n}"}}') for n in names))


def told(name: str, status: ToolStatus = ToolStatus.OK, reason: str = "") -> Message:
    return Message(Role.TOOL, "", tool_result=ToolResult(f"call_{name}", name, status, {"of": name}, reason))


def test_roles_and_texts_in_order() -> None:
    written = chat_messages(
        [SYSTEM, Message(Role.AGENT, "Hello."), Message(Role.CALLER, "Hi"), Message(Role.AGENT, "")]
    )
    assert written == [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Hi"},
    ]


def test_an_interrupted_message_says_so() -> None:
    (written,) = chat_messages([Message(Role.AGENT, "Your order is", interrupted=True)])
    assert written["content"].startswith("Your order is [interrupted")


def test_calls_side_by_side_and_their_results() -> None:
    written = chat_messages([asked("a", "b"), told("b"), told("a")])
    assert [call["id"] for call in written[0]["tool_calls"]] == ["call_a", "call_b"]
    assert written[0]["content"] is None
    assert [(m["role"], m["tool_call_id"]) for m in written[1:]] == [("tool", "call_b"), ("tool", "call_a")]
    assert json.loads(written[2]["content"])["data"] == {"of": "a"}


def test_each_outcome_tells_the_model_what_to_make_of_it() -> None:
    notes = set()
    for status in ToolStatus:
        content = json.loads(chat_messages([asked("a"), told("a", status, "because")])[1]["content"])
        assert content["status"] == status.value
        assert content["reason"] == "because"
        notes.add(content["note"])
    assert len(notes) == len(ToolStatus)


def test_data_is_marked_as_data() -> None:
    content = json.loads(chat_messages([asked("a"), told("a")])[1]["content"])
    assert "not instructions" in content["note"]


def test_a_call_without_a_result_gets_one() -> None:
    """Servers answer 400 to a dialogue in which a call stays open."""
    written = chat_messages([asked("a", "b"), told("a"), Message(Role.CALLER, "Hello?")])
    assert [m["role"] for m in written] == ["assistant", "tool", "tool", "user"]
    assert json.loads(written[2]["content"])["reason"] == "cancelled"


def test_a_result_without_a_call_is_left_out() -> None:
    assert chat_messages([told("a"), Message(Role.CALLER, "Hi")]) == [{"role": "user", "content": "Hi"}]


def test_arguments_that_are_no_json_do_not_go_back() -> None:
    message = Message(Role.AGENT, "", tool_calls=(ToolCall("call_a", "a", '{"n": '),))
    assert chat_messages([message])[0]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_what_was_sent_once_is_sent_the_same_again() -> None:
    """A vendor's prompt cache works by equal beginnings."""
    dialogue = [SYSTEM, Message(Role.CALLER, "Where is it?"), asked("a"), told("a"), Message(Role.AGENT, "Here.")]
    for end in range(1, len(dialogue)):
        if dialogue[end - 1].tool_calls:
            continue  # the next message is its result
        shorter = chat_messages(dialogue[:end])
        assert json.dumps(chat_messages(dialogue)[: len(shorter)]) == json.dumps(shorter)


def test_tools_carry_their_schema() -> None:
    schema = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}
    (tool,) = chat_tools([ToolDefinition("order_status", "Looks up an order.", schema)])
    assert tool["type"] == "function"
    assert tool["function"] == {"name": "order_status", "description": "Looks up an order.", "parameters": schema}
