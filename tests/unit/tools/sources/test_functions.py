from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from voice_agent.clock import LoopClock
from voice_agent.config import ToolSettings
from voice_agent.errors import ConfigError
from voice_agent.models import OUTCOME_UNKNOWN, CallId, ToolCall, ToolResult, ToolStatus
from voice_agent.tools.base import IdentityLevel, Tool, ToolAnswer, ToolContext
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.sources.functions import declared, tool, tools_of_entry_points, tools_of_modules

CALLER = ToolContext(CallId("call-1"), "+15550100", verified=True, locale="en-US")
SETTINGS = ToolSettings.model_construct(cb_failure_threshold=3, cb_recovery_s=30)


class Leg(BaseModel):
    place: str
    day: date


@tool(fallback="I can't see that now.", identity=IdentityLevel.NONE, writes=False)
async def parcel(
    tracking: Annotated[str, Field(max_length=12)],
    carrier: Literal["ups", "dhl"] = "ups",
    legs: list[Leg] | None = None,
    *,
    context: ToolContext,
) -> Mapping[str, Any]:
    """Tells where a parcel is.

    Use it for parcels only.

    Args:
        tracking: The number on the slip,
            as the caller says it.
        carrier (optional): Who brings it.

    Returns:
        tracking: Not an argument.
    """
    return {
        "tracking": tracking,
        "carrier": carrier,
        "for": context.caller_id,
        "days": [leg.day.day for leg in legs or ()],
    }


@tool(fallback="I can't count now.", name="count_things", description="Counts.", writes=False)
def count(number: int) -> ToolAnswer | None:
    if number < 0:
        return ToolAnswer({}, found=False, reason="negative")
    return ToolAnswer({"next": number + 1, "thread": threading.current_thread().name}) if number else None


def declared_one(function: object) -> Tool:
    (found,) = declared(function)
    return found


async def run(function: object, arguments: str) -> ToolResult:
    registry = ToolRegistry(declared_one(function))
    router = ToolRouter(registry, SETTINGS, LoopClock(), jitter=lambda: 0.0)
    return await router.run(ToolCall("t1", declared_one(function).name, arguments), CALLER)


def test_the_signature_and_the_docstring_are_the_declaration() -> None:
    found = declared_one(parcel)
    assert (found.name, found.description) == ("parcel", "Tells where a parcel is. Use it for parcels only.")
    assert (found.identity, found.read_only, found.model_callable) == (IdentityLevel.NONE, True, True)
    properties = found.parameters["properties"]
    assert set(properties) == {"tracking", "carrier", "legs"}
    assert properties["tracking"] == {
        "type": "string",
        "maxLength": 12,
        "description": "The number on the slip, as the caller says it.",
    }
    assert properties["carrier"] == {"type": "string", "enum": ["ups", "dhl"], "description": "Who brings it."}
    assert found.parameters["required"] == ["tracking"]
    assert found.parameters["additionalProperties"] is False
    assert "Leg" in found.parameters["$defs"]


def test_what_is_not_said_is_careful() -> None:
    @tool(fallback="No.")
    def anything() -> None:
        """Does something."""

    found = declared_one(anything)
    assert (found.read_only, found.identity) == (False, IdentityLevel.VERIFIED)
    assert anything.__name__ == "anything"


async def test_a_function_gets_typed_arguments_and_the_caller_from_the_call() -> None:
    result = await run(parcel, '{"tracking": "1Z", "legs": [{"place": "Oslo", "day": "2026-11-23"}]}')
    assert result.data == {"tracking": "1Z", "carrier": "ups", "for": "+15550100", "days": [23]}


async def test_what_the_schema_cannot_say_is_told_by_the_type() -> None:
    result = await run(parcel, '{"tracking": "1Z", "legs": [{"place": "Oslo", "day": "soon"}]}')
    assert (result.status, result.reason) == (ToolStatus.BUSINESS_ERROR, "bad_value")
    assert "date" in result.data["error"]
    assert "soon" not in result.data["error"]


@pytest.mark.parametrize("arguments", ['{"tracking": "1Z", "context": {}}', '{"tracking": "1Z", "carrier": "x"}', "{}"])
async def test_the_schema_is_enforced(arguments: str) -> None:
    assert (await run(parcel, arguments)).status is ToolStatus.INVALID


async def test_a_plain_function_runs_in_a_thread_of_its_own() -> None:
    result = await run(count, '{"number": 1}')
    assert result.data == {"next": 2, "thread": "tool-count"}
    assert (await run(count, '{"number": 0}')).data == {}
    assert (await run(count, '{"number": -1}')).reason == "negative"


async def test_a_thread_that_hangs_keeps_its_place_until_it_ends() -> None:
    release = threading.Event()
    begun = 0

    @tool(fallback="No.", timeout_s=0.05, at_once=2)
    def hang() -> None:
        """Hangs."""
        nonlocal begun
        begun += 1
        release.wait(30)

    registry = ToolRegistry(declared_one(hang))
    settings = ToolSettings.model_construct(cb_failure_threshold=100, cb_recovery_s=30)
    router = ToolRouter(registry, settings, LoopClock())
    try:
        reasons = [(await router.run(ToolCall("t", "hang", ""), CALLER)).reason for _ in range(4)]
    finally:
        release.set()
    assert (reasons, begun) == ([OUTCOME_UNKNOWN, OUTCOME_UNKNOWN, "error", "error"], 2)
    for thread in threading.enumerate():
        if thread.name == "tool-hang":
            await asyncio.to_thread(thread.join)
    await asyncio.sleep(0)  # the loop hears of their end
    assert (await router.run(ToolCall("t", "hang", ""), CALLER)).status is ToolStatus.OK


async def test_what_a_function_raises_or_gives_wrongly_is_a_failure() -> None:
    @tool(fallback="No.", writes=False)
    def raises(kind: str) -> None:
        """Raises."""
        raise StopIteration if kind == "stop" else ValueError

    @tool(fallback="No.", writes=False)
    async def text() -> Any:
        """Gives a text."""
        return "text"

    for function, arguments in ((raises, '{"kind": "stop"}'), (raises, '{"kind": ""}'), (text, "")):
        result = await run(function, arguments)
        assert (result.status, result.spoken) == (ToolStatus.FAILED, "No.")


def test_a_function_that_cannot_be_a_tool_is_told_with_its_place() -> None:
    def untyped(thing) -> None:  # type: ignore[no-untyped-def]
        """Does."""

    def many(*things: int) -> None:
        """Does."""

    def silent() -> None: ...

    def odd(thing: threading.Lock) -> None:  # type: ignore[valid-type]
        """Does."""

    for function, words in ((untyped, "without a type"), (many, "by name"), (silent, "docstring"), (odd, "'thing'")):
        with pytest.raises(ConfigError, match=rf"test_functions\.py:\d+: .*{words}"):
            tool(fallback="No.")(function)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder that Python imports from."""
    sys.path.insert(0, str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in set(sys.modules) - before:
        del sys.modules[name]


BANK = """
from voice_agent.tools.sources.functions import tool

@tool(fallback="No.", writes=False)
def rate(currency: str) -> dict[str, str]:
    \"\"\"Tells a rate.\"\"\"
    return {"currency": currency}

same = rate
"""


def test_modules_bring_each_of_their_tools_once(site: Path) -> None:
    (site / "bank_tools.py").write_text(BANK)
    assert [found.name for found in tools_of_modules(["bank_tools"])] == ["rate"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("import nowhere_at_all", "ModuleNotFoundError"), ("x = 1", "declares no tool"), ("def", "SyntaxError")],
)
def test_a_module_without_tools_stops_the_start(site: Path, text: str, words: str) -> None:
    (site / "bad_tools.py").write_text(text)
    with pytest.raises(ConfigError, match=f"TOOL_MODULES: .*'bad_tools'.*{words}|TOOL_MODULES: 'bad_tools' {words}"):
        list(tools_of_modules(["bad_tools"]))


def install(site: Path, points: str) -> None:
    info = site / "bank-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bank\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[voice_agent.tools]\n{points}\n")


def test_installed_packages_bring_tools(site: Path) -> None:
    (site / "bank_tools.py").write_text(BANK)
    install(site, "bank = bank_tools")
    assert [found.name for found in tools_of_entry_points()] == ["rate"]


@pytest.mark.parametrize(
    ("points", "words"),
    [("bank = bank_tools:nothing", "cannot be loaded"), ("bank = bank_tools:__name__", "holds no tool")],
)
def test_an_entry_point_without_tools_stops_the_start(site: Path, points: str, words: str) -> None:
    (site / "bank_tools.py").write_text(BANK)
    install(site, points)
    with pytest.raises(ConfigError, match=f"'bank' = .*{words}"):
        list(tools_of_entry_points())


def test_a_function_may_say_that_it_works_once_for_a_key() -> None:
    @tool(fallback="No.", unsure="Perhaps.", keyed=True)
    def pay() -> None:
        """Pays."""

    assert (declared_one(pay).keyed, declared_one(pay).unsure) == (True, "Perhaps.")
    assert not declared_one(parcel).keyed
