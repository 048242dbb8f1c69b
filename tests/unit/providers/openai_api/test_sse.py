"""The event stream: any split of the bytes gives the same events, and nothing grows without bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.providers.openai_api.sse import EventStream

STREAM = (
    b': a comment\n\ndata: {"a": 1}\n\nevent: ping\ndata:no space\r\nid: 7\r\n\r\n'
    b"data: two\ndata: lines\n\nretry: 10\n\ndata: \xc3\xa4\xf0\x9f\x99\x82\n\n\n\ndata: [DONE]"
)
EVENTS = [b'{"a": 1}', b"no space", b"two\nlines", "ä🙂".encode(), b"[DONE]"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=40).map(sorted))
def test_any_split_gives_the_same_events(cuts: list[int]) -> None:
    parser = EventStream()
    events: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        events += parser.feed(STREAM[start:end])
    assert events + parser.flush() == EVENTS


def test_byte_by_byte() -> None:
    parser = EventStream()
    events = [event for i in range(len(STREAM)) for event in parser.feed(STREAM[i : i + 1])]
    assert events + parser.flush() == EVENTS
    assert parser.flush() == []


@pytest.mark.parametrize("endless", [b"data: " + b"x" * 200, b"x" * 200, b"data: 12345678\n" * 20])
def test_what_never_ends_is_refused(endless: bytes) -> None:
    parser = EventStream(max_bytes=100)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        parser.feed(endless)


@given(st.binary(max_size=400))
def test_any_bytes_are_survived(noise: bytes) -> None:
    parser = EventStream()
    parser.feed(noise)
    parser.flush()
