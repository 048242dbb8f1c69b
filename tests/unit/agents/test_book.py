from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.unit.agents.conftest import Write

from voice_agent.agents.book import open_agents
from voice_agent.conversation.agent import AgentProfile
from voice_agent.errors import CallerError, ConfigError


def test_without_files_there_is_one_agent() -> None:
    assert [agent.name for agent in open_agents(None).all()] == ["juniper-and-pine"]
    nameless = open_agents(None, demo=False).default
    assert nameless.name == "default"
    assert "Juniper" not in " ".join(nameless.locale("en-US").prompts.greeting)


def test_who_takes_a_call(folder: Path, write: Write) -> None:
    write("bank.yaml", "name: bank\nnumbers: ['+1 555 0199']")
    write("shop.yml", "name: shop\nnumbers: ['555 0142', +1-555-0143]")
    book = open_agents(folder, "shop")
    assert book.choose("bank", "").name == "bank"
    assert book.choose("", "+15550199").name == "bank"
    assert book.choose("", "1 555 0143").name == "shop"
    assert book.choose("bank", "+15550143").name == "bank"  # a name goes before a number
    assert book.choose("", "+15559999").name == "shop"
    assert book.choose("", "").name == "shop"
    assert book.choose("", "anonymous").name == "shop"
    with pytest.raises(CallerError, match="no agent of this name"):
        book.choose("casino", "")


def test_the_default_needs_no_name_where_it_is_plain(folder: Path, write: Write) -> None:
    write("a.yaml", "name: alpha")
    assert open_agents(folder).default.name == "alpha"
    write("b.yaml", "name: default")
    assert open_agents(folder).default.name == "default"
    assert open_agents(folder / "a.yaml").default.name == "alpha"


@pytest.mark.parametrize(
    ("files", "default", "says"),
    [
        ({}, "", "without agent files"),
        ({"a.yaml": "name: a", "b.yaml": "name: b"}, "", "DEFAULT_AGENT must say which"),
        ({"a.yaml": "name: a"}, "z", "is none of the agents: a"),
        ({"a.yaml": "name: a", "b.yaml": "name: a"}, "", "is taken by"),
        (
            {"a.yaml": "name: a\nnumbers: ['+1 555']", "b.yaml": "name: b\nnumbers: ['1-555']"},
            "a",
            "belongs to the agent in",
        ),
        ({"a.yaml": "name: A"}, "", "a.yaml:1: name"),
    ],
)
def test_what_cannot_be_served_ends_the_start(
    folder: Path, write: Write, files: dict[str, str], default: str, says: str
) -> None:
    for name, text in files.items():
        write(name, text)
    with pytest.raises(ConfigError, match=says):
        open_agents(folder, default)


def test_a_place_that_is_not_there(folder: Path) -> None:
    with pytest.raises(ConfigError, match="neither an agent file nor a folder"):
        open_agents(folder / "none.yaml")


def test_a_changed_file_is_read_again(folder: Path, write: Write) -> None:
    write("a.yaml", "name: a\ntitle: One")
    book = open_agents(folder)
    held = book.choose("a", "")
    assert book.reload() == ()
    write("a.yaml", "name: a\ntitle: Two")
    assert [agent.title for agent in book.reload()] == ["Two"]
    assert (book.default.title, held.title) == ("Two", "One")  # who holds the old one keeps it
    write("b.yaml", "name: b")
    assert [agent.name for agent in book.reload()] == ["b"]
    (folder / "b.yaml").unlink()
    assert book.reload() == ()
    assert [agent.name for agent in book.all()] == ["a"]


def test_a_file_that_becomes_wrong_leaves_its_agent_as_it_was(folder: Path, write: Write) -> None:
    write("a.yaml", "name: a\ntitle: One")
    book = open_agents(folder)
    write("a.yaml", "name: a\ntitel: Two")
    with capture_logs() as logs:
        assert book.reload() == ()
        assert book.reload() == ()
    told = [entry for entry in logs if entry["log_level"] == "warning"]
    assert len(told) == 1
    assert "a.yaml:2: titel" in told[0]["error"]
    assert book.choose("a", "").title == "One"
    write("a.yaml", "name: a\ntitle: Three")
    assert [agent.title for agent in book.reload()] == ["Three"]


def test_the_default_agent_survives_its_file_and_its_name_stays(folder: Path, write: Write) -> None:
    write("a.yaml", "name: a")
    book = open_agents(folder)
    write("a.yaml", "name: other")
    assert book.reload() == ()
    assert book.default.name == "a"
    (folder / "a.yaml").unlink()
    write("b.yaml", "name: b")
    assert [agent.name for agent in book.reload()] == ["b"]
    assert book.default is book.choose("a", "")
    (folder / "b.yaml").unlink()  # the folder is empty now: perhaps a disk that is not mounted
    with capture_logs() as logs:
        assert book.reload() == ()
        assert book.reload() == ()
    assert [entry["event"] for entry in logs] == ["the agents stay as they are"]
    assert book.default.name == "a"


def test_a_renamed_file_and_exchanged_numbers_are_no_clash(folder: Path, write: Write) -> None:
    write("a.yaml", "name: a\nnumbers: ['+11']")
    write("b.yaml", "name: b\nnumbers: ['+22']")
    book = open_agents(folder, "a")
    (folder / "a.yaml").rename(folder / "z.yaml")
    assert [agent.name for agent in book.reload()] == ["a"]
    assert [agent.name for agent in book.all()] == ["a", "b"]
    write("z.yaml", "name: a\nnumbers: ['+22']")
    write("b.yaml", "name: b\nnumbers: ['+11']")
    assert len(book.reload()) == 2
    write("b.yaml", "name: b\nnumbers: ['+22']")
    write("z.yaml", "name: a\nnumbers: ['+11']")
    assert len(book.reload()) == 2
    assert (book.choose("", "11").name, book.choose("", "22").name) == ("a", "b")
    write("z.yaml", "name: a\nnumbers: ['+22']")
    assert book.reload() == ()
    assert (book.choose("", "11").name, book.choose("", "22").name) == ("a", "b")


async def test_watching_tells_of_every_change(folder: Path, write: Write) -> None:
    write("a.yaml", "name: a\ntitle: One")
    book = open_agents(folder)
    told: asyncio.Queue[str] = asyncio.Queue()

    async def take_in(agent: AgentProfile) -> None:
        told.put_nowait(agent.title)

    gone: asyncio.Queue[str] = asyncio.Queue()
    watching = asyncio.create_task(book.watch(0.005, take_in, gone.put_nowait))
    write("a.yaml", "name: a\ntitle: Two")
    async with asyncio.timeout(10):
        assert await told.get() == "Two"
    assert gone.empty()
    write("b.yaml", "name: b\ntitle: Three")
    async with asyncio.timeout(10):
        assert await told.get() == "Three"
        (folder / "b.yaml").unlink()
        assert await gone.get() == "b"
    assert gone.empty()
    watching.cancel()


async def test_watching_outlives_whatever_a_file_or_its_reader_does(folder: Path, write: Write) -> None:
    write("a.yaml", "name: a\ntitle: One")
    book = open_agents(folder)
    told: asyncio.Queue[str] = asyncio.Queue()

    async def take_in(agent: AgentProfile) -> None:
        told.put_nowait(agent.title)
        raise RuntimeError("the reader fails")

    with capture_logs() as logs:
        watching = asyncio.create_task(book.watch(0.005, take_in, lambda name: None))
        async with asyncio.timeout(10):
            write("a.yaml", "name: a\ntitle: \x00")
            while not logs:  # noqa: ASYNC110 - what is waited for is a line of the log
                await asyncio.sleep(0.005)
            write("a.yaml", "name: a\ntitle: Two")
            assert await told.get() == "Two"
            write("a.yaml", "name: a\ntitle: Three")
            assert await told.get() == "Three"
        watching.cancel()
    assert logs[0]["event"] == "an agent file is wrong, its agent stays as it was"


def test_a_worker_that_is_started_again_leaves_wrong_files_out(folder: Path, write: Write) -> None:
    write("a.yaml", "name: a")
    write("b.yaml", "name: [")
    write("c.yaml", "name: a")
    with capture_logs() as logs:
        book = open_agents(folder, "a", lenient=True)
    assert [agent.name for agent in book.all()] == ["a"]
    assert [entry["log_level"] for entry in logs] == ["error", "error"]
    write("b.yaml", "name: b")
    assert [agent.name for agent in book.reload()] == ["b"]
    with pytest.raises(ConfigError, match="DEFAULT_AGENT"):
        open_agents(folder, "z", lenient=True)


def test_a_number_belongs_to_who_has_it_on_file(folder: Path, write: Write) -> None:
    write("m.yaml", "name: default\nnumbers: '+1 555'")
    book = open_agents(folder)
    (folder / "m.yaml").unlink()
    write("z.yaml", "name: front\nnumbers: '+1 555'")
    book.reload()
    assert book.choose("", "+1555").name == "front"
