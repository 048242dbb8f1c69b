"""The command line's own promises: quick to load, plain about errors, silent about secrets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from voice_agent.cli import main as cli
from voice_agent.cli.settings import example_env

ROOT = Path(__file__).parents[3]
HEAVY = ("onnxruntime", "chromadb", "sqlalchemy", "fastapi", "uvicorn", "websockets", "tokenizers", "hibari")


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.app, list(arguments))
    return result.exit_code, result.output


def exit_of_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["voice-agent", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_help_names_every_command() -> None:
    code, text = run("--help")
    assert code == 0
    for command in ("serve", "call", "kb", "replay", "check", "config", "version"):
        assert command in text


def test_loading_the_command_line_imports_nothing_heavy() -> None:
    program = f"import sys, voice_agent.cli.main; print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_version_is_printed() -> None:
    code, text = run("version")
    assert code == 0
    assert text.startswith("voice-agent 0.")


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCESS_TOKEN", "very-secret-token")
    monkeypatch.setenv("DATABASE_URL", "postgresql://user:hunter2@host/name")
    code, text = run("config")
    assert code == 0
    assert "ACCESS_TOKEN" in text
    assert "very-secret" not in text
    assert "hunter2" not in text


def test_a_bad_setting_is_one_line_and_exit_code_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "notanumber")
    assert exit_of_main(monkeypatch, "config") == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert "PORT" in error
    assert "notanumber" in error


@pytest.mark.parametrize("arguments", [["call"], ["call", "--dir", "/nowhere"], ["call", "--wav", "/nowhere/a.wav"]])
def test_a_call_without_anything_to_say_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert exit_of_main(monkeypatch, *arguments) == 2
    assert "voice-agent: " in capsys.readouterr().err


def test_a_call_to_nobody_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from voice_agent.evaluation.caller_audio import write_wav

    write_wav(tmp_path / "hello.wav", bytes(3200), 16_000)
    assert exit_of_main(monkeypatch, "call", "--wav", str(tmp_path / "hello.wav"), "--url", "ws://127.0.0.1:9") == 2
    assert "no call server answers" in capsys.readouterr().err


def test_the_example_file_is_up_to_date() -> None:
    assert (ROOT / ".env.example").read_text() == example_env(), "run: voice-agent config --example > .env.example"


def test_the_example_file_shows_the_defaults_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    before = example_env()
    monkeypatch.setenv("PORT", "9999")
    assert example_env() == before
