"""``voice-agent agent`` as a user runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from voice_agent.cli.main import app

BANK = "name: bank\ntitle: The bank\nknowledge: [bank_faq]\ntools: [order_status]\ntransfer: {desk: {purpose: all}}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "agents"
    made.mkdir()
    (made / "bank.yaml").write_text(BANK)
    monkeypatch.setenv("AGENTS", str(made))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    return made


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["agent", *arguments])
    return done.exit_code, done.output + (str(done.exception) if done.exception and done.exit_code == 1 else "")


def test_agents_are_listed_and_shown(folder: Path) -> None:
    code, shown = run("list")
    assert (code, "bank" in shown, "answers calls that name none" in shown) == (0, True, True)
    code, shown = run("show", "bank", "--locale", "es-ES")
    assert code == 0
    for piece in ("bank, es-ES", "Hola, soy el asistente virtual.", "desk (all)", "bank_faq", "end_call, order_status"):
        assert piece in shown, piece


def test_checking_tells_doubts_and_every_mistake(folder: Path) -> None:
    code, told = run("check")
    assert code == 0
    assert "it names collections, but not the tool knowledge_base" in told
    (folder / "b.yaml").write_text("name: b\nvoice: nova\n")
    (folder / "c.yaml").write_text("name: c\nlocale: xx\n")
    code, told = run("check")
    assert code == 1
    assert "b.yaml:2: voice" in told
    assert "c.yaml:2: locale" in told
    code, told = run("check", str(folder / "bank.yaml"))
    assert code == 0


def test_two_agents_of_one_name_are_a_mistake(folder: Path) -> None:
    (folder / "b.yaml").write_text("name: bank\ntitle: 'Desk [/sales]'\n")
    for arguments in ((), (str(folder),), ("./agents",)):
        code, told = run("check", *arguments)
        assert (code, "is taken by" in told) == (1, True)
    (folder / "bank.yaml").unlink()
    assert "Desk [/sales]" in run("list")[1]


def test_an_unknown_agent(folder: Path) -> None:
    code, told = run("show", "casino")
    assert (code, "there is no agent 'casino'; known: bank" in told) == (1, True)
