from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text
from tests.unit.store.conftest import store_settings

from voice_agent.errors import ConfigError, StoreError
from voice_agent.store.database import SQLITE_FILE, Database, open_database
from voice_agent.store.tables import meta, metadata

OPEN_AND_CLOSE = """
import asyncio, sys
from pathlib import Path
from pydantic import SecretStr
from voice_agent.config import StoreSettings
from voice_agent.store.database import open_database

async def main():
    async with open_database(StoreSettings.model_construct(database_url=SecretStr("")), Path(sys.argv[1])):
        pass

asyncio.run(main())
"""


async def refusal(url: str, state_dir: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        async with open_database(store_settings(url), state_dir):
            pass
    return str(caught.value)


async def test_the_default_is_a_file_in_the_state_directory_that_keeps_what_is_written(tmp_path: Path) -> None:
    state_dir = tmp_path / "not" / "there yet"
    async with open_database(store_settings(), state_dir) as database, database.begin() as connection:
        await connection.execute(insert(meta).values(key="note", value="kept"))
    async with open_database(store_settings(), state_dir) as database, database.begin() as connection:
        assert (await connection.execute(select(meta.c.value).where(meta.c.key == "note"))).scalar_one() == "kept"
    assert (state_dir / SQLITE_FILE).is_file()


async def test_sqlite_is_tuned_for_several_processes(database: Database) -> None:
    async with database.begin() as connection:
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
        assert (await connection.execute(text("PRAGMA busy_timeout"))).scalar_one() == 5000
        assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar_one() == 1


async def test_a_plain_sqlite_url_gets_its_driver(tmp_path: Path) -> None:
    async with open_database(store_settings(f"sqlite:///{tmp_path}/other.db"), tmp_path):
        pass
    assert (tmp_path / "other.db").is_file()


async def test_a_transaction_is_rolled_back_on_an_error(database: Database) -> None:
    async def write_and_fail() -> None:
        async with database.begin() as connection:
            await connection.execute(insert(meta).values(key="note", value="lost"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()
    async with database.begin() as connection:
        assert (await connection.execute(select(meta).where(meta.c.key == "note"))).first() is None


@pytest.mark.parametrize("url", ["not a url", "//host/name", "postgresql://host:port/name"])
async def test_a_bad_url_is_refused_without_being_shown(tmp_path: Path, url: str) -> None:
    message = await refusal(url, tmp_path)
    assert "DATABASE_URL" in message
    assert url not in message


async def test_an_unknown_kind_of_database_is_refused(tmp_path: Path) -> None:
    assert "'nosuchdb'" in await refusal("nosuchdb://host/name", tmp_path)


async def test_a_database_that_does_not_answer_is_refused_without_showing_the_password(tmp_path: Path) -> None:
    message = await refusal("postgresql://user:hunter2@127.0.0.1:9/name", tmp_path)
    assert "127.0.0.1" in message
    assert "hunter2" not in message


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / SQLITE_FILE
    file.write_bytes(b"these are my holiday pictures" * 100)
    message = await refusal("", tmp_path)
    assert str(file) in message
    assert "not a database" in message
    assert file.read_bytes().startswith(b"these are my holiday pictures")


async def test_a_state_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    message = await refusal("", tmp_path / "file" / "state")
    assert "STATE_DIR" in message


async def test_a_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / SQLITE_FILE).mkdir()
    assert "cannot be used" in await refusal("", tmp_path)


async def test_a_database_that_only_others_may_write_is_refused(tmp_path: Path) -> None:
    async with open_database(store_settings(), tmp_path):
        pass
    message = await refusal(f"sqlite:///file:{tmp_path}/{SQLITE_FILE}?mode=ro&uri=true", tmp_path)
    assert "readonly" in message


async def test_another_schema_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    async with open_database(store_settings(), tmp_path):
        pass
    with sqlite3.connect(tmp_path / SQLITE_FILE) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    connection.close()
    message = await refusal("", tmp_path)
    assert "schema version 999" in message


async def test_somebody_elses_tables_are_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / SQLITE_FILE) as connection:
        connection.execute("CREATE TABLE callers (anything TEXT)")
    connection.close()
    assert "'callers'" in await refusal("", tmp_path)


async def test_many_openers_at_once_all_find_a_complete_database(tmp_path: Path) -> None:
    async def open_and_count() -> int:
        async with open_database(store_settings(), tmp_path) as database, database.begin() as connection:
            found = await connection.execute(text("SELECT count(*) FROM sqlite_master WHERE type = 'table'"))
            return int(found.scalar_one())

    assert await asyncio.gather(*(open_and_count() for _ in range(6))) == [len(metadata.tables)] * 6


def test_several_processes_may_create_the_database_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN_AND_CLOSE, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[1] for process in processes] == ["", "", ""]
    assert [process.returncode for process in processes] == [0, 0, 0]


async def test_no_thread_of_a_connection_that_failed_to_open_is_left(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    for _ in range(30):  # a thread not waited for is still there every other time
        await refusal(f"sqlite:///{tmp_path}", tmp_path)
        left = [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio_")]
        assert left == []


async def test_a_failing_statement_tells_neither_itself_nor_its_parameters(database: Database) -> None:
    with pytest.raises(StoreError) as caught:
        async with database.begin() as connection:
            await connection.execute(text("SELECT :secret FROM no_such_table"), {"secret": "hunter2"})
    assert "no_such_table" in str(caught.value)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "hunter2" not in f"{chain!r} {chain}"
        chain = chain.__cause__
