from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "agents"
    made.mkdir()
    return made


@pytest.fixture
def write(folder: Path) -> Write:
    """``write("bank.yaml", "name: bank")``: the file, with a time of change that no other one has had."""
    count = 0

    def write_file(name: str, text: str) -> Path:
        nonlocal count
        count += 1
        path = folder / name
        path.write_text(text, "utf-8")
        os.utime(path, ns=(count, count))
        return path

    return write_file
