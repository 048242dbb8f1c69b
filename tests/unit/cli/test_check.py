"""What ``voice-agent check`` finds about the second factor; the whole command is tried in ``tests/integration``."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from typer.testing import CliRunner

from voice_agent.cli.check import CHECKS, Finding, findings_of
from voice_agent.cli.main import app
from voice_agent.config import load_settings

KEY, OTHER_KEY = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIR", str(tmp_path))
    monkeypatch.setenv("DEMO_DATA", "false")


async def second_factor() -> Finding:
    check = next(check for name, check in CHECKS if name == "second factor")
    (finding,) = await findings_of(load_settings(None), (("second factor", check),))
    return finding


def enrolled() -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["callers", "add", "+15550199", "--name", "Ada"], input="8265\n").exit_code == 0
    assert runner.invoke(app, ["callers", "set-totp", "+15550199"]).exit_code == 0


async def test_none_is_configured() -> None:
    finding = await second_factor()
    assert finding.ok
    assert "the PIN alone" in finding.detail


def test_totp_with_its_key_and_with_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECOND_FACTOR", "totp")
    monkeypatch.setenv("SECOND_FACTOR_REQUIRED", "true")
    monkeypatch.setenv("IDENTITY_KEY", KEY)
    enrolled()
    finding = asyncio.run(second_factor())
    assert finding.ok
    assert finding.detail == "totp: callers with a secret: 1, all of them open; the others are handed over"
    monkeypatch.setenv("IDENTITY_KEY", OTHER_KEY)
    finding = asyncio.run(second_factor())
    assert not finding.ok
    assert "1 of 1 TOTP secrets do not open" in finding.detail


async def test_a_hook_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECOND_FACTOR", "no_such_module:sms")
    finding = await second_factor()
    assert not finding.ok
    assert "SECOND_FACTOR='no_such_module:sms' cannot be loaded" in finding.detail
