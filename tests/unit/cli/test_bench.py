"""``voice-agent bench turns``: help, the list of families, and mistakes told at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from voice_agent.cli.main import app
from voice_agent.errors import ConfigError
from voice_agent.evaluation.turn_taking.scenarios import FAMILIES

runner = CliRunner()


def test_every_family_is_listed_with_what_happens_in_it() -> None:
    done = runner.invoke(app, ["bench", "turns", "--list"])
    assert done.exit_code == 0
    for family in FAMILIES:
        assert family in done.stdout


def test_help_says_what_is_measured() -> None:
    done = runner.invoke(app, ["bench", "turns", "--help"])
    assert done.exit_code == 0
    assert "turn-taking" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--families", "ordinary,nonsense"], "nonsense.*there are only ordinary"),
        (["--compare", "/nowhere/baseline.json"], "cannot be read"),
        (["--quick", "--json", "/nowhere/result.json"], "folder does not exist"),
        (["--quick", "--report", "/nowhere/page.html"], "folder does not exist"),
    ],
)
def test_a_mistake_is_told_before_anything_is_started(arguments: list[str], message: str) -> None:
    done = runner.invoke(app, ["bench", "turns", *arguments])
    assert isinstance(done.exception, ConfigError)
    assert done.exception.args
    with pytest.raises(ConfigError, match=message):
        raise done.exception


def test_a_result_of_something_else_is_no_baseline(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"benchmark": "voice_to_voice"}')
    done = runner.invoke(app, ["bench", "turns", "--compare", str(other)])
    assert "no result of" in str(done.exception)
