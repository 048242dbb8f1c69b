"""Marks of what must be heard."""

from __future__ import annotations

import pytest

from voice_agent.conversation.passages import PassageReader


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (["Hello.", "Bye."], [("Hello.", True), ("Bye.", True)]),
        (["<must-hear>This is recorded.</must-hear>", "Hello."], [("This is recorded.", False), ("Hello.", True)]),
        (["<must-hear>This is recorded.</must-hear> Hello."], [("This is recorded.", False), ("Hello.", True)]),
        (["<must-hear>One.", "Two.</must-hear>", "Three."], [("One.", False), ("Two.", False), ("Three.", True)]),
        (["Well, <MUST-HEAR>it binds you</must-hear> now. Yes."], [("Well, it binds you now. Yes.", False)]),
        (["</must-hear> Stray."], [("Stray.", True)]),
        (["<must-hear>", "Alone.", "</must-hear>"], [("Alone.", False)]),
        (["1 < 2 and <b>bold</b>"], [("1 < 2 and <b>bold</b>", True)]),
        ([""], []),
    ],
)
def test_marks_are_taken_out_and_kept_in_mind(segments: list[str], expected: list[tuple[str, bool]]) -> None:
    reader = PassageReader()
    assert [part for segment in segments for part in reader.take(segment)] == expected
