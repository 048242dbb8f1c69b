"""Order numbers as recognisers write them."""

from __future__ import annotations

import pytest

from voice_agent.providers.llm.builtin.heard_numbers import order_numbers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("where is order 83102", ("83102",)),
        ("where is order A3102", ("83102",)),
        ("when will order number, a 3102 get here", ("83102",)),
        ("order eight three two four oh", ("83240",)),
        ("order AB-1234", ("AB-1234",)),
        ("what is a gift card", ()),
    ],
)
def test_order_numbers(text: str, numbers: tuple[str, ...]) -> None:
    assert order_numbers(text, 5) == numbers
