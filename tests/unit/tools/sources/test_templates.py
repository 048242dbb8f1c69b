from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.models import CallId
from voice_agent.tools.base import ToolContext
from voice_agent.tools.sources.templates import (
    LEFT_OUT,
    Path,
    Template,
    UnfitValueError,
    fill_json,
    fill_path,
    summary_of,
    values_of,
)

CALLER = ToolContext(CallId("call-1"), "+15550100", verified=True, locale="en-US")


@given(st.text(max_size=40))
def test_no_argument_changes_the_shape_of_a_path(value: str) -> None:
    """Read back by two readers: as many segments, the same value in the same place, the same host, no query."""
    template = Template.parse("/orders/{order}/lines")
    try:
        path = fill_path(template, {"order": value})
    except (UnfitValueError, UnicodeEncodeError):
        return
    url = f"https://shop.example{path}"
    for host, raw in (
        (urlsplit(url).hostname, urlsplit(url).path),
        (httpx2.URL(url).host, httpx2.URL(url).raw_path.decode()),
    ):
        assert host == "shop.example"
        before, orders, segment, after = raw.split("/")
        assert (before, orders, unquote(segment), after) == ("", "orders", value, "lines")
    assert urlsplit(url).query == urlsplit(url).fragment == ""


@pytest.mark.parametrize(
    "value", ["..", ".", "", "a/b", "..\\x", "%2e%2e", "%2F", "a\nb", "\x00", "../../admin", "a%00"]
)
def test_what_a_far_side_could_read_as_another_path_is_refused(value: str) -> None:
    with pytest.raises(UnfitValueError) as error:
        fill_path(Template.parse("/orders/{order}"), {"order": value})
    assert len(value) < 3 or value not in str(error.value)


@pytest.mark.parametrize(
    ("value", "path"),
    [("a b?c#d&e@f:g", "/x/a%20b%3Fc%23d%26e%40f%3Ag"), (7, "/x/7"), (True, "/x/true"), ("é", "/x/%C3%A9")],
)
def test_values_are_percent_encoded(value: Any, path: str) -> None:
    assert fill_path(Template.parse("/x/{value}"), {"value": value}) == path


def test_parts_that_only_together_mean_another_place_are_refused() -> None:
    with pytest.raises(UnfitValueError):
        fill_path(Template.parse("/x/{a}{b}/y"), {"a": ".", "b": "."})


def test_braces_are_doubled_and_single_ones_are_mistakes() -> None:
    assert Template.parse("{{{a}}}").fill(lambda field: field.upper()) == "{A}"
    for text in ("{", "}", "{a", "a}", "{}", "{a b}", "{1}"):
        with pytest.raises(ValueError, match="brace"):
            Template.parse(text)


def test_a_body_keeps_types_and_leaves_out_what_was_not_given() -> None:
    body = {
        "order": Template.parse("{order}"),
        "note": Template.parse("{note}"),
        "who": {"id": Template.parse("{caller.id}"), "call": Template.parse("call {call.id}")},
        "lines": (Template.parse("{count}"), Template.parse("{note}"), 7, None, "as it is"),
    }
    values = values_of({"order": "83102", "count": 3}, CALLER)
    assert fill_json(body, values) == {
        "order": "83102",
        "who": {"id": "+15550100", "call": "call call-1"},
        "lines": [3, 7, None, "as it is"],
    }
    assert fill_json(Template.parse("{note}"), values) is LEFT_OUT


def test_no_argument_hides_what_the_call_says() -> None:
    values = values_of({"caller.id": "+15550101", "caller": "x"}, CALLER)
    assert values["caller.id"] == "+15550100"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("order.state", "sent"),
        ("order.lines[0].name", "jacket"),
        ("order.lines[*].name", ["jacket", None]),
        ("order.lines[5].name", None),
        ("order.missing.name", None),
        ("order.state.name", None),
        ("order[0]", None),
        ("[0]", None),
        ("list[1]", 2),
        ("list[*]", [1, 2]),
    ],
)
def test_paths_find_what_is_there(path: str, found: Any) -> None:
    data = {"order": {"state": "sent", "lines": [{"name": "jacket"}, {}]}, "list": [1, 2]}
    assert Path.parse(path).read(data) == found


def test_a_dot_is_the_whole() -> None:
    assert Path.parse(".").read([1]) == [1]


@pytest.mark.parametrize("path", ["", "a.", ".a", "a..b", "a[", "a[x]", "a[-1]", "a]b"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        Path.parse(path)


def test_a_summary_is_said_only_if_everything_in_it_is_known() -> None:
    template = Template.parse("It is {state}, in {place.city}.")
    assert summary_of(template, {"state": "sent", "place": {"city": "Oslo"}}) == "It is sent, in Oslo."
    assert summary_of(template, {"state": "sent", "place": None}) == ""
    assert summary_of(template, {"state": ["a"], "place": {"city": "Oslo"}}) == ""
