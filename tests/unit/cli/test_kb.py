"""``voice-agent kb`` as a user runs it, on a real collection in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def kb(tmp_path: Path):  # type: ignore[no-untyped-def]
    environment = {**os.environ, "STATE_DIR": str(tmp_path / "state"), "DEMO_DATA": "false", "COLUMNS": "200"}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("voice-agent")), "kb", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_a_document_is_added_listed_found_and_removed(kb, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    document = tmp_path / "parking.md"
    document.write_text("# Parking\n\nCustomers park for free behind the shop for up to two hours.\n")
    added = kb("add", str(document))
    assert added.returncode == 0, added.stderr
    assert "added" in added.stdout
    assert "unchanged" in kb("add", str(document)).stdout
    assert "Parking" in kb("list").stdout
    found = kb("search", "Where can I park my car?")
    assert "confidence" in found.stdout
    assert "free behind the shop" in found.stdout
    assert kb("remove", str(document)).returncode == 0
    assert "Parking" not in kb("list").stdout


def test_what_cannot_be_read_is_named_and_fails(kb, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    empty = tmp_path / "empty.md"
    empty.write_text("")
    for path in (empty, tmp_path / "nowhere.md"):
        outcome = kb("add", str(path))
        assert outcome.returncode == 1
        assert path.name in outcome.stderr
    assert kb("remove", "nothing").returncode == 1
