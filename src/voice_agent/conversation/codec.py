"""Events and commands as JSON-able dicts and back, for the event log.

Driven by the dataclasses' type hints, so a new event or command needs no line here. The rules:

- a record becomes a dict of its fields, an enum its value, a tuple a list;
- a ``float`` field is always written as a float (an ``int`` given for it would come back as another text and a replay
  compares texts); a non-finite one is written as "nan", "inf" or "-inf";
- a field typed ``Any`` or ``Mapping[str, Any]`` holds plain JSON (what tools return). What is not, is brought to it:
  tuples and sets become lists, keys and foreign values text, integers beyond 64 bits text. That is the one place where
  decoding gives another value than was encoded; encoding *that* gives the same text again.

``decode`` is strict: an unknown name, a missing or surplus field, or a value of the wrong type is a ``CodecError``. A
field with a default may be missing, so that older logs stay readable.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum, StrEnum
from functools import cache
from typing import Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

from voice_agent.conversation.commands import Command
from voice_agent.conversation.events import Event
from voice_agent.errors import BugError, VoiceAgentError


class Kind(StrEnum):
    """Which of the two streams an entry belongs to."""

    EVENT = "event"
    COMMAND = "command"


RESERVED_FIELDS = frozenset({"seq", "t", "kind", "name"})
"""Names that a log line uses itself; no event or command may have a field of that name."""

_INT64_MIN, _UINT64_MAX = -(2**63), 2**64 - 1  # what a JSON writer of 64-bit integers can hold
_NON_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}

_Encoder = Callable[[Any], Any]
_Decoder = Callable[[Any, str], Any]


class CodecError(VoiceAgentError):
    """A payload does not describe the record it claims to be; the text says which field and why."""


def encode(entry: Event | Command) -> dict[str, Any]:
    """The entry's own fields, JSON-able. Its kind and name are not among them: see ``kind_of`` and ``entry.name``."""
    encoded: dict[str, Any] = _codec(type(entry)).encode(entry)
    return encoded


def decode(kind: str, name: str, payload: Mapping[str, Any]) -> Event | Command:
    """The event or command that ``encode`` gave ``payload`` for. Raises ``CodecError``."""
    record = _names().get((kind, name))
    if record is None:
        raise CodecError(f"no {kind} is called {name!r}")
    entry: Event | Command = _codec(record).decode(payload, name)
    return entry


def kind_of(entry: Event | Command) -> Kind:
    """Whether ``entry`` is an event or a command."""
    return _kinds()[type(entry)]


def encode_record(record: Any) -> dict[str, Any]:
    """Any frozen dataclass of the same field types (settings, for instance) as a dict."""
    encoded: dict[str, Any] = _codec(type(record)).encode(record)
    return encoded


def decode_record(record_type: type[Any], payload: Mapping[str, Any]) -> Any:
    """The inverse of ``encode_record``. Raises ``CodecError``."""
    return _codec(record_type).decode(payload, record_type.__name__)


def entry_types(kind: Kind) -> tuple[type[Any], ...]:
    """Every event, or every command."""
    return get_args(Event if kind is Kind.EVENT else Command)


@cache
def _kinds() -> dict[type[Any], Kind]:
    return {record: kind for kind in Kind for record in entry_types(kind)}


@cache
def _names() -> dict[tuple[str, str], type[Any]]:
    names: dict[tuple[str, str], type[Any]] = {}
    for record, kind in _kinds().items():
        key = (kind.value, record.name)
        if key in names:
            raise BugError(f"{names[key].__name__} and {record.__name__} share the log name {record.name!r}")
        clash = RESERVED_FIELDS.intersection(field.name for field in fields(record))
        if clash:
            raise BugError(f"{record.__name__} has a field {sorted(clash)[0]!r}, which a log line uses itself")
        names[key] = record
    return names


@dataclass(frozen=True, slots=True)
class _Codec:
    encode: _Encoder
    decode: _Decoder


_CODECS: dict[Any, _Codec] = {}


def _codec(hint: Any) -> _Codec:
    """How a value of this type hint is written and read; built once per hint."""
    codec = _CODECS.get(hint)
    if codec is None:
        codec = _CODECS[hint] = _build_codec(hint)
    return codec


def _build_codec(hint: Any) -> _Codec:
    if isinstance(hint, NewType):
        return _codec(hint.__supertype__)
    if is_dataclass(hint) and isinstance(hint, type):
        return _record_codec(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum_codec(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return _tuple_codec(arguments)
    if origin in (Union, types.UnionType):
        return _optional_codec(hint, arguments)
    if origin is Literal:
        return _literal_codec(arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_codec(hint, arguments)
    raise BugError(f"the event log cannot hold a {hint!r}: use records, enums, tuples and plain values")


def _record_codec(record: type[Any]) -> _Codec:
    hints = get_type_hints(record)
    codecs = {field.name: _codec(hints[field.name]) for field in fields(record)}
    encoders = tuple((name, codec.encode) for name, codec in codecs.items())
    required = frozenset(
        field.name for field in fields(record) if field.default is MISSING and field.default_factory is MISSING
    )

    def encode_fields(value: Any) -> dict[str, Any]:
        return {name: encoder(getattr(value, name)) for name, encoder in encoders}

    def decode_fields(payload: Any, where: str) -> Any:
        if not isinstance(payload, Mapping):
            raise CodecError(f"{where} should be an object, not {payload!r}")
        if surplus := payload.keys() - codecs.keys():
            raise CodecError(f"{where} has no field {sorted(map(str, surplus))[0]!r}")
        if missing := required - payload.keys():
            raise CodecError(f"{where} lacks the field {sorted(missing)[0]!r}")
        return record(**{name: codecs[name].decode(value, f"{where}.{name}") for name, value in payload.items()})

    return _Codec(encode_fields, decode_fields)


def _enum_codec(enum: type[Enum]) -> _Codec:
    def decode_member(payload: Any, where: str) -> Enum:
        try:
            return enum(payload)
        except ValueError:
            raise CodecError(f"{where} is {payload!r}, which is no {enum.__name__}") from None

    return _Codec(lambda member: member.value, decode_member)


def _tuple_codec(arguments: tuple[Any, ...]) -> _Codec:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _codec(arguments[0])

        def decode_items(payload: Any, where: str) -> tuple[Any, ...]:
            if not isinstance(payload, list):
                raise CodecError(f"{where} should be a list, not {payload!r}")
            return tuple(item.decode(value, f"{where}[{at}]") for at, value in enumerate(payload))

        return _Codec(lambda values: [item.encode(value) for value in values], decode_items)

    items = tuple(_codec(argument) for argument in arguments)

    def decode_fixed(payload: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(payload, list) or len(payload) != len(items):
            raise CodecError(f"{where} should be a list of {len(items)}, not {payload!r}")
        pairs = zip(items, payload, strict=True)
        return tuple(codec.decode(value, f"{where}[{at}]") for at, (codec, value) in enumerate(pairs))

    return _Codec(
        lambda values: [codec.encode(value) for codec, value in zip(items, values, strict=True)], decode_fixed
    )


def _optional_codec(hint: Any, arguments: tuple[Any, ...]) -> _Codec:
    others = [argument for argument in arguments if argument is not type(None)]
    if len(others) != 1 or len(arguments) != 2:
        raise BugError(f"the event log cannot tell the members of {hint!r} apart: only X | None is supported")
    inner = _codec(others[0])
    return _Codec(
        lambda value: None if value is None else inner.encode(value),
        lambda payload, where: None if payload is None else inner.decode(payload, where),
    )


def _literal_codec(arguments: tuple[Any, ...]) -> _Codec:
    def decode_literal(payload: Any, where: str) -> Any:
        if payload not in arguments:
            raise CodecError(f"{where} is {payload!r}, not one of {arguments!r}")
        return payload

    return _Codec(lambda value: value, decode_literal)


def _mapping_codec(hint: Any, arguments: tuple[Any, ...]) -> _Codec:
    if arguments[0] is not str:
        raise BugError(f"the event log cannot hold {hint!r}: keys must be text")
    value_codec = _codec(arguments[1])

    def decode_mapping(payload: Any, where: str) -> dict[str, Any]:
        if not isinstance(payload, Mapping):
            raise CodecError(f"{where} should be an object, not {payload!r}")
        return {key: value_codec.decode(value, f"{where}.{key}") for key, value in payload.items()}

    return _Codec(lambda value: {str(key): value_codec.encode(item) for key, item in value.items()}, decode_mapping)


def _encode_float(value: float) -> float | str:
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _decode_float(payload: Any, where: str) -> float:
    if isinstance(payload, str) and payload in _NON_FINITE:
        return _NON_FINITE[payload]
    if isinstance(payload, bool) or not isinstance(payload, (int, float)):
        raise CodecError(f"{where} should be a number, not {payload!r}")
    return float(payload)


def _exact(kind: type[Any]) -> _Decoder:
    def decode_exact(payload: Any, where: str) -> Any:
        if type(payload) is not kind:
            raise CodecError(f"{where} should be {kind.__name__}, not {payload!r}")
        return payload

    return decode_exact


def plain(value: Any) -> Any:
    """``value`` as plain JSON; idempotent. Raises nothing."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value) if _INT64_MIN <= value <= _UINT64_MAX else str(int(value))
    if isinstance(value, float):
        return _encode_float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=repr)
    return str(value)


_PLAIN: dict[Any, _Codec] = {
    Any: _Codec(plain, lambda payload, where: payload),
    float: _Codec(_encode_float, _decode_float),
    int: _Codec(int, _exact(int)),
    bool: _Codec(bool, _exact(bool)),
    str: _Codec(str, _exact(str)),
}
