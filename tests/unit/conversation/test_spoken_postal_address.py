"""Addresses of the United States as they are said: read as a whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.spoken_forms.postal_address import postal_address


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("14 Birch Lane, Madison, Wisconsin, 53703", ("14 Birch Lane", "", "Madison", "Wisconsin", "53703")),
        (
            "fourteen Birch Lane, Madison, Wisconsin, five three seven oh three",
            ("14 Birch Lane", "", "Madison", "Wisconsin", "53703"),
        ),
        (
            "fourteen birch lane madison wisconsin five three seven oh three",
            ("14 Birch Lane", "", "Madison", "Wisconsin", "53703"),
        ),
        (
            "14 Birch Lane, apartment 3, Madison, WI 53703-1234",
            ("14 Birch Lane", "apartment 3", "Madison", "WI", "53703-1234"),
        ),
        (
            "two thirty west washington avenue apartment four madison wisconsin five three seven oh three",
            ("230 West Washington Avenue", "apartment four", "Madison", "Wisconsin", "53703"),
        ),
        (
            "one oh five Elm Street, Santa Fe, New Mexico, zip code eight seven five oh one",
            ("105 Elm Street", "", "Santa Fe", "New Mexico", "87501"),
        ),
        ("12 County Road 12, Austin, Texas, 78704", ("12 County Road 12", "", "Austin", "Texas", "78704")),
        ("14, Birch Lane, Madison, Wisconsin, 53703", ("14 Birch Lane", "", "Madison", "Wisconsin", "53703")),
        ("9 Park Place Drive Ames Iowa 50010", ("9 Park Place Drive", "", "Ames", "Iowa", "50010")),
        ("14 Birch Lane in Madison, Wisconsin 53703", ("14 Birch Lane", "", "Madison", "Wisconsin", "53703")),
        ("1200 Alder Street Portland OR 97205.", ("1200 Alder Street", "", "Portland", "OR", "97205")),
    ],
)
def test_a_whole_address(text: str, parts: tuple[str, ...]) -> None:
    address = postal_address(text)
    assert address is not None
    assert (address.street, address.extra, address.city, address.region, address.postal_code) == parts


@pytest.mark.parametrize(
    "text",
    [
        "",
        "14 Birch Lane",
        "14 Birch Lane in Madison",
        "14 Birch Lane, Madison, 53703",  # no state
        "14 Birch Lane, Wisconsin, 53703",  # no city
        "Madison, Wisconsin, 53703",
        "14 Birch Madison Wisconsin 53703",  # where does the street end?
        "Birch Lane 14, Madison, Wisconsin 53703",
        "14 Birch Lane, Madison, Wisconsin, 5370",
        "P.O. Box 12, Madison, WI 53703",
        "order 83240 and order 83102",
    ],
)
def test_what_is_not_whole_or_not_certain_is_none(text: str) -> None:
    assert postal_address(text) is None


@given(st.text(max_size=80))
def test_any_text_can_be_tried(text: str) -> None:
    address = postal_address(text)
    assert address is None or (address.street and address.city and address.region and address.postal_code)
