"""The examples of docs/tools.md are real: each file loads, the function is a tool."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from voice_agent.providers.data_file import parse_data
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.sources.functions import declared
from voice_agent.tools.sources.tools_file import ToolsFile

TEXT = (Path(__file__).parents[4] / "docs" / "tools.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(2))
def test_every_file_in_the_documentation_loads(number: int) -> None:
    examples = blocks("yaml")
    assert len(examples) == 2
    file = parse_data(ToolsFile, examples[number], "tools.yaml")
    assert file.http or file.mcp


def test_the_function_in_the_documentation_is_a_tool() -> None:
    (example,) = blocks("python")
    namespace: dict[str, object] = {"__name__": "example"}
    exec(compile(example, "docs/tools.md", "exec", dont_inherit=True), namespace)
    (found,) = ToolRegistry(*declared(list(namespace.values())))
    assert (found.name, found.read_only) == ("exchange_rate", True)
    assert found.parameters["properties"]["currency"]["pattern"] == "^[A-Z]{3}$"
