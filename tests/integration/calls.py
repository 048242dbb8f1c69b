"""Calls as the integration tests place them: caller options, limits on how many at once, and what was heard when."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from tests.hearing import recognised
from tests.servers import RunningServer

from voice_agent.evaluation.caller import CallOptions, SimulatedCaller

T = TypeVar("T")
A = TypeVar("A")

AT_ONCE = 3  # real-time calls at once that two cores carry beside the recogniser that listens to the agent
CALLER = "+15550100"  # Dana Reyes of the demo shop
PIN = "4271"


def place_call(server: RunningServer, caller_id: str = CALLER, **options: Any) -> SimulatedCaller:
    return SimulatedCaller(server.url, CallOptions(caller_id=caller_id, **options))


async def a_few_at_once(work: Callable[[A], Awaitable[T]], items: Iterable[A], limit: int = AT_ONCE) -> list[T]:
    """``work`` on every item, at most ``limit`` at once; results in the items' order. The first error ends all."""
    gate = asyncio.Semaphore(limit)

    async def one(item: A) -> T:
        async with gate:
            return await work(item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]


def final_transcript(caller: SimulatedCaller, since: int = 0) -> str:
    """What the server shows of the caller's words: the newest final of each turn."""
    turns = {frame["turn_id"]: frame["text"] for frame in caller.frames("transcript", since) if frame["final"]}
    return " ".join(text for text in turns.values() if text)


async def heard_words(caller: SimulatedCaller, from_s: float | None = None, until_s: float | None = None) -> str:
    """What a listener understands of the audio that was played to the caller."""
    pcm = caller.heard_track(from_s, until_s)
    return await asyncio.to_thread(recognised, pcm, caller.options.out_rate_hz)


async def key_in(caller: SimulatedCaller, digits: str) -> None:
    for digit in digits:
        await caller.press(digit)
        await caller.stay(0.08)


def tools_used(caller: SimulatedCaller, since: int = 0) -> list[tuple[str, str]]:
    """(name, status) of every tool that returned."""
    return [(f["name"], f["status"]) for f in caller.frames("tool", since) if f["status"] != "started"]


async def wait_for_no_calls(server: RunningServer, timeout_s: float = 10.0) -> None:
    """Returns once the server holds no session. Raises ``AssertionError``."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + timeout_s
    while (active := await asyncio.to_thread(server.metric, "voice_active_sessions")) > 0:
        assert loop.time() < deadline_s, f"{active:g} sessions are still active {timeout_s:g} s after the last call"
        await asyncio.sleep(0.1)


_SPELLED = {"4": ("four", "for"), "2": ("two", "too", "to"), "7": ("seven",), "1": ("one", "won")}
_PAIRS = ("42|forty[ -]?(?:two|2)", "71|seventy[ -]?(?:one|1)")


def _spellings() -> re.Pattern[str]:
    """Digits together, spaced, in words, in pairs, and mixtures; not inside longer numbers, ids or fractions."""
    gap = r"[\s,.;:\-_/\"'\\]{0,4}"
    one_by_one = gap.join(f"(?:{'|'.join([digit, *_SPELLED[digit]])})" for digit in PIN)
    pairs = gap.join(f"(?:{pair})" for pair in _PAIRS)
    return re.compile(rf"(?<![0-9A-Za-z.])(?:{one_by_one}|{pairs})(?![0-9A-Za-z])", re.IGNORECASE)


_TIME = re.compile(r"\d+\.\d+")


def pin_found(text: str) -> list[str]:
    """Where ``PIN`` stands in any spelling, with what is around it. A decimal number is a time or a measure, and speech
    has none."""
    matches = (match for match in _spellings().finditer(text) if not _TIME.fullmatch(match.group()))
    return [text[max(0, match.start() - 60) : match.end() + 60] for match in matches]
