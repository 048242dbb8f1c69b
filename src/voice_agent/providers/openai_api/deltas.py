"""Puts a streamed chat completion together: text at once, tool calls from their pieces, usage, and why it ended.

OpenAI sends a call's id and name once and its arguments in pieces that share an ``index``. Others send whole calls, without
index, with an empty id, with the same index for several, or with the arguments as an object; all of that is understood.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from voice_agent.models import ToolCall

MAX_ANSWER_CHARS: Final = 2**20  # hours of speech
MAX_CALLS: Final = 64
_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(slots=True)
class _OpenCall:
    call_id: str
    name: str
    index: int | None
    pieces: list[str] = field(default_factory=list)


class ThoughtFilter:
    """Takes out what a reasoning model thinks aloud in its text, ``<think>…</think>`` before the answer: servers without
    a parser for it leave it there, and nobody should hear it."""

    def __init__(self) -> None:
        self._held = ""
        self._thinking = False
        self._done = False

    def feed(self, text: str) -> str:
        """What of it may be said."""
        if self._done:
            return text
        self._held += text
        if not self._thinking:
            begin = self._held.lstrip()
            if begin.startswith(_OPEN):
                self._thinking = True
            elif _OPEN.startswith(begin):
                return ""
            else:
                return self._all()
        _, found, rest = self._held.partition(_CLOSE)
        if found:
            self._held = rest.lstrip()
            return self._all()
        self._held = self._held[-len(_CLOSE) :]
        return ""

    def flush(self) -> str:
        """The end: what only looked like the beginning of a thought."""
        return "" if self._done or self._thinking else self._all()

    def _all(self) -> str:
        self._done = True
        text, self._held = self._held, ""
        return text


class Deltas:
    """Feed it the parsed events in order. ``finish_reason`` is empty until the server tells one; ``complete`` is set by
    whoever reads the end mark; ``said`` tells whether there was any text; ``works_silently`` whether the newest event
    carried a piece of a tool call or of a thought."""

    def __init__(self) -> None:
        self.finish_reason = ""
        self.complete = False
        self.usage: dict[str, int] = {}
        self.said = False
        self.works_silently = False
        self._chars = 0
        self._thoughts = ThoughtFilter()
        self._calls: list[_OpenCall] = []

    def feed(self, event: Mapping[str, Any]) -> str:
        """The text that this event adds, "" for none. Raises ``ValueError`` for what is no chat completion."""
        if usage := event.get("usage"):
            self.usage = usage_of(usage)
        choices = event.get("choices")
        self.works_silently = False
        if not choices:
            return ""
        try:
            choice = choices[0]
            delta = choice.get("delta") or choice.get("message") or {}
            if reason := choice.get("finish_reason"):
                self.finish_reason, self.complete = str(reason), True
            if calls := delta.get("tool_calls"):
                for piece in calls:
                    self._take_call(piece)
            content = delta.get("content")
            self.works_silently = bool(calls or content or delta.get("reasoning_content") or delta.get("reasoning"))
            refusal = delta.get("refusal")
        except (AttributeError, TypeError, KeyError, IndexError) as error:
            raise ValueError(f"an event of an unknown shape ({type(error).__name__})") from None
        text = self._thoughts.feed(content if isinstance(content, str) else _text_of(content)) if content else ""
        if refusal and isinstance(refusal, str):
            text += refusal
        self._count(text)
        self.said = self.said or bool(text.strip())
        return text

    def flush(self) -> str:
        """Text that was held back until it was clear what it is."""
        text = self._thoughts.flush()
        self.said = self.said or bool(text.strip())
        return text

    def calls(self) -> list[ToolCall]:
        """The finished calls, in order. ``arguments`` is what the model wrote, JSON or not. Raises ``ValueError`` for a
        call without a name."""
        calls: list[ToolCall] = []
        for call in self._calls:
            if not call.name:
                raise ValueError("a tool call without a name")
            # An id of our own where the server gives none: the result must name its call.
            calls.append(ToolCall(call.call_id or f"call_{secrets.token_hex(8)}", call.name, "".join(call.pieces)))
        return calls

    def _take_call(self, piece: Mapping[str, Any]) -> None:
        function = piece.get("function") or {}
        given_id, name, index = piece.get("id") or "", function.get("name") or "", piece.get("index")
        arguments = function.get("arguments")
        if not isinstance(arguments, str):
            arguments = "" if arguments is None else orjson.dumps(arguments).decode()
        call = self._call_for(str(given_id), str(name), index if isinstance(index, int) else None)
        call.pieces.append(arguments)
        self._count(arguments)

    def _call_for(self, given_id: str, name: str, index: int | None) -> _OpenCall:
        """The call that a piece belongs to: a new one where its index, its id or its name is new."""
        known = next((call for call in reversed(self._calls) if index is not None and call.index == index), None)
        if known is None and index is None and self._calls and not name and given_id in ("", self._calls[-1].call_id):
            known = self._calls[-1]
        if known is not None:
            another_id = given_id and known.call_id and given_id != known.call_id
            another_name = name and known.name and name != known.name
            if not another_id and not another_name:
                known.call_id = known.call_id or given_id
                known.name = known.name or name
                return known
        if len(self._calls) == MAX_CALLS:
            raise ValueError(f"an answer of more than {MAX_CALLS} tool calls")
        call = _OpenCall(given_id, name, index)
        self._calls.append(call)
        return call

    def _count(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > MAX_ANSWER_CHARS:
            raise ValueError(f"an answer of more than {MAX_ANSWER_CHARS} characters")


def _text_of(content: Any) -> str:
    """Content in parts, as some models give it; thoughts are another type of part."""
    if not isinstance(content, list):
        raise ValueError(f"content of type {type(content).__name__}")  # noqa: TRY004 - a fault of the server's data
    return "".join(
        part["text"]
        for part in content
        if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    )


def usage_of(usage: Any) -> dict[str, int]:
    """``input_tokens``, ``output_tokens``, ``total_tokens``, ``cached_tokens`` (of the input), ``reasoning_tokens`` (of the
    output): those the server tells. Understands the names of chat completions and of the Realtime API."""
    if not isinstance(usage, dict):
        return {}
    found = {
        "input_tokens": usage.get("prompt_tokens", usage.get("input_tokens")),
        "output_tokens": usage.get("completion_tokens", usage.get("output_tokens")),
        "total_tokens": usage.get("total_tokens"),
        "cached_tokens": _detail(usage, ("prompt_tokens_details", "input_token_details"), "cached_tokens"),
        "reasoning_tokens": _detail(usage, ("completion_tokens_details",), "reasoning_tokens"),
    }
    return {name: value for name, value in found.items() if isinstance(value, int) and not isinstance(value, bool)}


def _detail(usage: Mapping[str, Any], groups: tuple[str, ...], name: str) -> Any:
    details: Mapping[str, Any] = next((usage[group] for group in groups if isinstance(usage.get(group), dict)), {})
    return details.get(name)
