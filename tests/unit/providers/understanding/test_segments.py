"""Cutting a turn into parts that may each mean something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.providers.understanding.segments import Segment, split_turn


@pytest.mark.parametrize(
    ("turn", "parts"),
    [
        ("where is my order", [("where is my order", False)]),
        ("Thanks. Bye.", [("Thanks. Bye.", False), ("Thanks.", False), ("Bye.", False)]),
        (
            "I ordered a lamp, and it never came because you forgot it",
            [
                ("I ordered a lamp, and it never came because you forgot it", False),
                ("I ordered a lamp", True),
                ("it never came", True),
                ("you forgot it", True),
            ],
        ),
        ("black and white socks", [("black and white socks", False)]),
        (
            "tell me about the return policy for socks and shoes",
            [("tell me about the return policy for socks and shoes", False)],
        ),
    ],
)
def test_parts(turn: str, parts: list[tuple[str, bool]]) -> None:
    assert [(s.text, s.clause) for s in split_turn(turn)] == parts


@given(st.text(alphabet="ab ,.and but?", max_size=300))
def test_the_whole_comes_first_and_the_rest_is_part_of_it(turn: str) -> None:
    segments = split_turn(turn)
    whole = " ".join(turn.split())
    assert segments[0] == Segment(whole)
    assert len(segments) <= 8
    assert all(segment.text in whole for segment in segments)
    assert len({segment.text for segment in segments}) == len(segments)
