"""How a worker takes the connections that its parent hands over."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from voice_agent.cli.worker import _adopt
from voice_agent.cli.worker_link import hand_over


class Server:
    """Takes every connection and keeps it."""

    def __init__(self) -> None:
        self.adopted: list[socket.socket] = []

    async def adopt(self, connection: socket.socket) -> None:
        self.adopted.append(connection)


class Reporter:
    def __init__(self) -> None:
        self.received = 0

    def took(self, connections: int) -> None:
        self.received += connections


async def test_what_was_handed_over_before_the_parent_died_is_taken_and_then_nothing_is_waited_for() -> None:
    parents, handed = socket.socketpair()
    client, connection = socket.socketpair()
    server: Any = Server()
    reporter: Any = Reporter()
    with parents, client, connection:
        assert hand_over(parents, connection)
    with handed:
        async with asyncio.timeout(10):
            await _adopt(handed, server, reporter)
    assert reporter.received == len(server.adopted) == 1
    server.adopted[0].close()
