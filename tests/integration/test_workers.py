"""Several workers behind one port, for real: they share calls and figures, die without taking others along, and drain."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import orjson
import psutil
from tests.servers import RunningServer, running_server
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PROGRAM = [sys.executable, "-m", "tests.integration.scripted_workers"]
ROOT = Path(__file__).parents[2]
SETTINGS = {
    "WORKERS": "2",
    "MAX_CALLS": "8",
    "DRAIN_TIMEOUT_S": "1",
    "ADMISSION_MAX_LOOP_LAG_MS": "10000",  # how busy the machine is does not matter here
    "ADMISSION_MAX_PLAYOUT_LATENESS_MS": "10000",
    "PYTHONPATH": str(ROOT),
}


def workers(server: RunningServer) -> set[int]:
    """Process ids of the workers: what the parent has spawned, its bookkeeper excepted."""
    found = set()
    for child in psutil.Process(server.pid).children():
        with suppress(psutil.NoSuchProcess):  # one that has just died
            if "spawn_main" in " ".join(child.cmdline()):
                found.add(child.pid)
    return found


def calls_of(pid: int, server: RunningServer) -> int:
    connections = psutil.Process(pid).net_connections("tcp")
    return sum(1 for each in connections if each.status == "ESTABLISHED" and each.laddr.port == server.port)


async def soon(holds: Callable[[], bool], within_s: float = 60.0) -> None:
    """Returns once something is so. Raises ``TimeoutError``."""
    async with asyncio.timeout(within_s):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.05)


async def begun_call(stack: AsyncExitStack, server: RunningServer) -> ClientConnection:
    url = f"ws://127.0.0.1:{server.port}/ws/call?caller_id=%2B15550100&events=1"
    call = await stack.enter_async_context(connect(url, compression=None, max_queue=None))
    while not isinstance(await call.recv(), bytes):
        pass
    return call


async def closed_with(call: ClientConnection) -> int:
    try:
        async with asyncio.timeout(30):
            while True:
                await call.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd is not None else 1006


async def alive(call: ClientConnection) -> bool:
    """Whether a call still answers: to a frame that it cannot understand it says so."""
    await call.send('{"type": "?"}')
    async with asyncio.timeout(30):
        while True:
            frame = await call.recv()
            if isinstance(frame, str) and orjson.loads(frame)["type"] == "error":
                return True


def page(server: RunningServer, path: str) -> Any:
    return orjson.loads(server.get(path))


async def test_workers_share_calls_outlive_each_other_and_drain(tmp_path: Path) -> None:
    with running_server(tmp_path, SETTINGS, PROGRAM) as server:
        async with AsyncExitStack() as stack:
            first, second = sorted(workers(server))
            calls = [await begun_call(stack, server) for _ in range(6)]
            assert (calls_of(first, server), calls_of(second, server)) == (3, 3)
            await soon(lambda: server.metric("voice_active_sessions") == 6)
            for _ in range(4):  # whichever worker is asked
                ready = page(server, "/ready")
                assert (ready["status"], ready["active_sessions"], ready["capacity"]) == ("ready", 6, 8)
                assert [call["state"] for call in page(server, "/api/calls")["calls"]] == ["active"] * 6

            mine = [call for call in calls if _peer(call, first)]
            others = [call for call in calls if call not in mine]
            os.kill(first, signal.SIGKILL)
            assert [await closed_with(call) for call in mine] == [1006] * 3
            assert all([await alive(call) for call in others])
            await soon(lambda: len(workers(server) - {first, second}) == 1)
            await soon(lambda: page(server, "/ready")["capacity"] == 8)  # the new worker takes calls
            await soon(lambda: server.metric('voice_sessions_total{outcome="error"}') == 3)
            assert server.metric("voice_active_sessions") == 3
            reasons = [call["reason"] for call in page(server, "/api/calls")["calls"] if call["ended"]]
            assert reasons == ["worker_died"] * 3

            late = await begun_call(stack, server)  # the new worker has most room
            (third,) = workers(server) - {first, second}
            await soon(lambda: calls_of(third, server) == 1)
            psutil.Process(server.pid).terminate()
            assert [await closed_with(call) for call in (*others, late)] == [1001] * 4
    assert not [pid for pid in (second, third) if psutil.pid_exists(pid)]


def _peer(call: ClientConnection, pid: int) -> bool:
    """Whether a process holds the other end of a call."""
    own_port = call.local_address[1]
    return any(each.raddr and each.raddr.port == own_port for each in psutil.Process(pid).net_connections("tcp"))


async def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *PROGRAM,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **SETTINGS, "PORT": "0", "STATE_DIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        assert (await parent.stdout.readline()).startswith(b"READY http://127.0.0.1:")
    children = psutil.Process(parent.pid).children()
    assert len(children) >= 2
    parent.kill()
    await parent.wait()
    await soon(lambda: not any(child.is_running() and child.status() != "zombie" for child in children))
