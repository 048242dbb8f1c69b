"""The dialogue as it was heard."""

from __future__ import annotations

from voice_agent.conversation.history import DialogueHistory
from voice_agent.models import Role, ToolCall, ToolResult, ToolStatus


def test_asides_are_in_the_transcript_but_not_in_the_window() -> None:
    history = DialogueHistory()
    history.add_caller("Where is my parcel?")
    history.add_agent("Your PIN, please.", aside=True)
    history.add_caller("[PIN]", aside=True)
    assert [m.text for m in history.window()] == ["Where is my parcel?"]
    assert len(history.transcript()) == 3
    assert history.requests() == ("Where is my parcel?",)


def test_a_caller_message_can_be_taken_back_as_long_as_nobody_answered() -> None:
    history = DialogueHistory()
    history.add_agent("Your PIN, please.", aside=True)
    history.add_caller("Where is my")
    history.add_tool(ToolCall("1", "look", "{}"), ToolResult("1", "look", ToolStatus.OK))
    assert history.take_back_caller() == "Where is my"
    assert [m.role for m in history.window()] == [Role.AGENT, Role.TOOL]
    assert history.take_back_caller() == ""
    history.add_caller("Hello")
    history.add_agent("Hi.")
    assert history.take_back_caller() == ""


def test_the_window_never_begins_with_a_torn_tool_result() -> None:
    history = DialogueHistory()
    for number in range(60):
        history.add_tool(ToolCall(str(number), "look", "{}"), ToolResult(str(number), "look", ToolStatus.OK))
        history.add_caller("again")
    assert history.window()[0].role is not Role.TOOL


def test_unheard_words_leave_no_message() -> None:
    history = DialogueHistory()
    history.add_agent("", interrupted=True)
    assert history.window() == ()
