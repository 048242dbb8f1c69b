"""Marks of what must be heard."""

from __future__ import annotations

import pytest

from voice_agent.conversation.passages import PassageReader


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (["Hello.", "Bye."], [("Hello.", True), ("Bye.", True)]),
        (["<must-hear>This is recorded.</must-hear>", "Hello."], [("This is recorded.", False), ("Hello.", True)]),
        (["<must-hear>One.", "Two.</must-hear>", "Three."], [("One.", False), ("Two.", False), ("Three.", True)]),
        (["Well, <MUST-HEAR>it binds you</must-hear> now."], [("Well, it binds you now.", False)]),
        (["</must-hear> Stray."], [("Stray.", True)]),
        (["<must-hear>", "Alone.", "</must-hear>"], [("", False), ("Alone.", False), ("", False)]),
        (["1 < 2 and <b>bold</b>"], [("1 < 2 and <b>bold</b>", True)]),
    ],
)  # fmt: skip
def test_marks_are_taken_out_and_kept_in_mind(segments: list[str], expected: list[tuple[str, bool]]) -> None:
    reader = PassageReader()
    assert [reader.take(segment) for segment in segments] == expected
