"""What the shop says about a database that it cannot use."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.shops import seeded_copy

from voice_agent.demo_backend.database import SQLITE_FILE, open_shop_database
from voice_agent.errors import ConfigError


async def _open(url: str, folder: Path) -> None:
    async with open_shop_database(url, folder):
        pass


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no url", "is not a database URL"),
        ("postgresql://u:secret@h:port/db", "is not a database URL"),
        ("oracle9://h/db", "unknown database kind"),
        ("sqlite:////proc/nowhere/shop.db", "cannot be made"),
    ],
)
async def test_a_bad_url_is_one_clear_line(url: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        await _open(url, tmp_path)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / SQLITE_FILE).write_bytes(b"not a database, " * 100)
    with pytest.raises(ConfigError, match="file is not a database"):
        await _open("", tmp_path)


async def test_another_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    seeded_copy(tmp_path)
    with sqlite3.connect(tmp_path / SQLITE_FILE) as connection:
        connection.execute("UPDATE shop_meta SET value = '99' WHERE key = 'schema_version'")
    connection.close()
    with pytest.raises(ConfigError, match="schema version 99"):
        await _open("", tmp_path)
