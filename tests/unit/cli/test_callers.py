"""``voice-agent callers`` on a database of its own."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

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


@pytest.fixture
def with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_KEY", base64.b64encode(bytes(32)).decode())
    assert run("add", "+15550199", "--name", "Ada Nym", typed="8265\n").exit_code == 0


def test_a_totp_secret_is_made_shown_once_and_taken_away(with_key: None) -> None:
    made = run("set-totp", "+1 555 0199", "--issuer", "Juniper and Pine")
    assert made.exit_code == 0
    (uri,) = [line for line in made.stdout.splitlines() if line.startswith("otpauth://")]
    assert uri.startswith("otpauth://totp/Juniper%20and%20Pine:%2B15550199?secret=")
    secret = parse_qs(urlsplit(uri).query)["secret"][0]
    listed = run("list").output
    assert "totp" in listed
    assert secret not in listed
    assert run("remove-totp", "+15550199").exit_code == 0
    assert "totp" not in run("list").output


def test_a_totp_secret_of_an_app_is_read_from_standard_input_and_not_repeated(with_key: None) -> None:
    secret = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP"
    taken = run("set-totp", "+15550199", "--existing", typed=f"{secret}\n")
    assert taken.output.strip() == "+15550199 has a new TOTP secret"
    assert "totp" in run("list").output


@pytest.mark.parametrize("typed", ["\n", "not base32!\n", "JBSWY3DP\n"])
def test_a_bad_totp_secret_changes_nothing(with_key: None, typed: str) -> None:
    assert run("set-totp", "+15550199", "--existing", typed=typed).exit_code != 0
    assert "totp" not in run("list").output


def test_a_totp_secret_is_no_argument_and_needs_a_key_and_a_caller(
    with_key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("set-totp", "+15550199", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").exit_code == 2
    unknown = run("set-totp", "+19990000")
    assert "there is no caller +19990000" in str(unknown.exception)
    assert "otpauth" not in unknown.output
    monkeypatch.delenv("IDENTITY_KEY")
    keyless = run("set-totp", "+15550199")
    assert "IDENTITY_KEY is empty" in str(keyless.exception)
    assert "otpauth" not in keyless.output
