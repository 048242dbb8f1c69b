"""The codec, over every event and command there is: strategies come from the type hints, as the codec does."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, NewType, Union, get_args, get_origin, get_type_hints

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation import codec
from voice_agent.conversation.codec import CodecError, Kind, decode, encode, entry_types, kind_of
from voice_agent.conversation.commands import EndCall
from voice_agent.conversation.events import (
    CallStarted,
    SpeechStarted,
    SpeechStopped,
    TimerFired,
    ToolReturned,
    TransferFinished,
)
from voice_agent.conversation.machine import MachineSettings
from voice_agent.errors import BugError
from voice_agent.models import CallId, CallOutcome, ReplyId, ToolResult, ToolStatus, TransferReceipt

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLOATS = st.floats(allow_nan=False)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PLAIN = {str: TEXT, float: FLOATS, int: st.integers(-(2**63), 2**63 - 1), bool: st.booleans(), Any: JSON}

ALL = [*entry_types(Kind.EVENT), *entry_types(Kind.COMMAND)]


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type hint that an entry may have."""
    if isinstance(hint, NewType):
        return values_of(hint.__supertype__)
    if hint in PLAIN:
        return PLAIN[hint]
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{field.name: values_of(hints[field.name]) for field in fields(hint)})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of([st.none() if one is type(None) else values_of(one) for one in arguments])
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values_of, arguments))
    if origin is Mapping:
        return st.dictionaries(TEXT, values_of(arguments[1]), max_size=3)
    raise AssertionError(f"no strategy for {hint!r}")


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.__name__)
@given(data=st.data())
def test_every_entry_comes_back_as_it_was(record: type[Any], data: st.DataObject) -> None:
    entry = data.draw(values_of(record))
    line = orjson.dumps(encode(entry))
    back = decode(kind_of(entry).value, entry.name, orjson.loads(line))
    assert back == entry
    assert type(back) is record
    assert orjson.dumps(encode(back)) == line


def test_events_and_commands_are_told_apart() -> None:
    assert kind_of(TimerFired()) is Kind.EVENT
    assert kind_of(EndCall(CallOutcome.COMPLETED, "hangup")) is Kind.COMMAND
    assert len({(kind_of_type(record), record.name) for record in ALL}) == len(ALL)


def kind_of_type(record: type[Any]) -> Kind:
    return Kind.EVENT if record in entry_types(Kind.EVENT) else Kind.COMMAND


def test_a_float_field_is_written_as_a_float_even_where_an_int_was_given() -> None:
    assert orjson.dumps(encode(SpeechStarted(voiced_s=1, level_dbfs=-20))) == (
        b'{"voiced_s":1.0,"level_dbfs":-20.0,"echo":null}'
    )


@pytest.mark.parametrize(("value", "text"), [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")])
def test_numbers_that_json_lacks_survive_in_float_fields(value: float, text: str) -> None:
    payload = encode(SpeechStopped(silence_s=value, voiced_s=0.0))
    assert payload["silence_s"] == text
    back = decode("event", "speech_stopped", payload)
    assert isinstance(back, SpeechStopped)
    assert back.silence_s == value or (math.isnan(back.silence_s) and math.isnan(value))


def test_what_a_tool_returns_is_brought_to_plain_json_and_stays_so() -> None:
    odd = {"on": date(2026, 1, 2), "cost": Decimal("1.50"), "n": 2**70, "pair": (1, 2), "set": {"b", "a"}, 3: math.nan}
    result = ToolResult("c", "order_status", ToolStatus.OK, odd)  # type: ignore[arg-type]
    payload = encode(ToolReturned(ReplyId(1), result))
    assert payload["result"]["data"] == {
        "on": "2026-01-02",
        "cost": "1.50",
        "n": str(2**70),
        "pair": [1, 2],
        "set": ["a", "b"],
        "3": "nan",
    }
    assert encode(decode("event", "tool_result", payload)) == payload


def test_none_and_nested_records() -> None:
    assert encode(TransferFinished(None)) == {"receipt": None}
    receipt = TransferReceipt("CB-1", connected=True)
    assert decode("event", "transfer", {"receipt": {"reference": "CB-1", "connected": True}}) == TransferFinished(
        receipt
    )


def test_a_field_with_a_default_may_be_missing_as_in_older_logs() -> None:
    back = decode("event", "asr_final", {"utterance_id": 1, "text": "hello"})
    assert encode(back) == {
        "utterance_id": 1,
        "text": "hello",
        "confidence": 1.0,
        "secret_digits": 0,
        "ends_turn": False,
    }


@pytest.mark.parametrize(
    ("kind", "name", "payload", "complaint"),
    [
        ("event", "no_such", {}, "no event is called 'no_such'"),
        ("command", "call_start", {}, "no command is called 'call_start'"),
        ("event", "hung_up", {}, "hung_up lacks the field 'reason'"),
        ("event", "hung_up", {"reason": "x", "more": 1}, "hung_up has no field 'more'"),
        ("event", "hung_up", {"reason": 7}, "hung_up.reason should be str, not 7"),
        ("event", "playout_started", {"reply_id": True}, "playout_started.reply_id should be int, not True"),
        ("event", "speech_started", {"voiced_s": "long"}, "speech_started.voiced_s should be a number"),
        (
            "event",
            "stage_failed",
            {"stage": "feet", "category": "x"},
            "stage_failed.stage is 'feet', which is no Stage",
        ),
        ("event", "transfer", {"receipt": 5}, "transfer.receipt should be an object"),
        (
            "event",
            "turn_understood",
            {"turn_id": 1, "meanings": [3]},
            r"turn_understood.meanings\[0\] should be an obj",
        ),
        ("event", "turn_understood", {"turn_id": 1, "meanings": "x"}, "turn_understood.meanings should be a list"),
    ],
)
def test_a_wrong_payload_is_named(kind: str, name: str, payload: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CodecError, match=complaint):
        decode(kind, name, payload)


def test_settings_travel_in_the_header() -> None:
    settings = MachineSettings(turn_timeout_s=3.25, max_turns=7)
    payload = orjson.loads(orjson.dumps(codec.encode_record(settings)))
    assert codec.decode_record(MachineSettings, payload) == settings


def test_a_field_of_a_type_that_cannot_be_told_apart_is_refused_at_once() -> None:
    @dataclass(frozen=True)
    class Ambiguous:
        value: int | str

    Ambiguous.__annotations__["value"] = int | str
    with pytest.raises(BugError, match="cannot tell the members"):
        codec.encode_record(Ambiguous(1))


def test_the_text_of_a_call_start() -> None:
    started = CallStarted(CallId("c1"), "caller-7", "en-US", "en_us", "2026-11-22T18:00:00Z", "shop")
    assert encode(started) == {
        "call_id": "c1",
        "caller_id": "caller-7",
        "locale": "en-US",
        "requested_locale": "en_us",
        "wall": "2026-11-22T18:00:00Z",
        "agent": "shop",
    }
