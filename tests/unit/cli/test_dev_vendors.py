"""``voice-agent dev-vendors``: what it is asked is checked before anything is loaded."""

from __future__ import annotations

import sys

import pytest
from typer.testing import CliRunner

from voice_agent.cli import main as cli


def test_its_help_tells_the_stages_and_every_fault() -> None:
    from voice_agent.dev_vendors.faults import Fault, Stage

    result = CliRunner().invoke(cli.app, ["dev-vendors", "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert all(name in result.output for name in (*Fault, *Stage, "--port", "--first-ms"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fault", "llm=explode"), "'llm=explode' is no fault"),
        (("--first-ms", "vad=5"), "--first-ms vad=5"),
        (("--first-ms", "soon"), "--first-ms soon"),
        (("--gap-ms", "-3"), "--gap-ms -3"),
    ],
)
def test_a_bad_option_is_one_line(
    arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["voice-agent", "dev-vendors", "--port", "0", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in told
    assert len(told.splitlines()) == 1
