"""``voice-agent callers`` on a database of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from voice_agent.cli.main import app


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    monkeypatch.setenv("DEMO_DATA", "false")


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(app, ["callers", *words], input=typed)


def test_a_caller_is_added_listed_and_removed() -> None:
    assert run("add", "+15550199", "--name", "Ada Nym", typed="8265\n").exit_code == 0
    listed = run("list")
    assert "+15550199" in listed.output
    assert "8265" not in listed.output
    assert run("set-pin", "+15550199", typed="9371\n").output.strip() == "+15550199 has a new PIN"
    assert run("remove", "+15550199").exit_code == 0
    assert "+15550199" not in run("list").output


def test_the_demo_people_are_told_with_their_pins() -> None:
    told = run("demo").output
    assert len(re.findall(r"\+\d{8,}", told)) == 230
    assert re.search(r"\+15550100 .* Dana Reyes .* 4271 ", told)
    assert "+15550100" not in run("list").output  # without demo data nobody of them may prove anything


@pytest.mark.parametrize("typed", ["1234\n", "12\n", "\n"])
def test_a_bad_pin_changes_nothing(typed: str) -> None:
    assert run("add", "+15550199", "--name", "Ada Nym", typed=typed).exit_code != 0
    assert "+15550199" not in run("list").output


def test_a_pin_is_no_argument() -> None:
    assert run("set-pin", "+15550199", "8265").exit_code == 2
