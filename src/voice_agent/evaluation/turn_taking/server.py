"""A server of its own for a bench: ``voice-agent serve`` as a child process, with a state directory that is thrown away.

In a process of its own it does not share an interpreter with the callers that measure it. It gets the user's settings;
only the address and the state directory are the bench's.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from voice_agent.errors import ConfigError

_READY_WITHIN_S = 180.0  # a first start builds the knowledge base
_STOP_WITHIN_S = 20.0
# A bench that is killed leaves no server behind (Linux: PR_SET_PDEATHSIG).
_ENDS_WITH_ITS_PARENT = (
    "import ctypes, signal; ctypes.CDLL(None).prctl(1, signal.SIGTERM); " if sys.platform == "linux" else ""
)
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True, slots=True)
class BenchServer:
    """``events_dir`` holds the event logs of its calls."""

    url: str
    events_dir: Path


@asynccontextmanager
async def bench_server() -> AsyncIterator[BenchServer]:
    """Starts a server, waits until it takes calls, and stops it. Raises ``ConfigError`` with what it said last."""
    with tempfile.TemporaryDirectory(prefix="voice-agent-bench-") as folder:
        state_dir, log_path = Path(folder) / "state", Path(folder) / "server.log"
        environment = os.environ | {
            "STATE_DIR": str(state_dir),
            "LOG_FORMAT": "json",
            "LOG_LEVEL": "INFO",
            "DRAIN_TIMEOUT_S": "1",
        }
        program = _ENDS_WITH_ITS_PARENT + "from voice_agent.cli.main import main; main()"
        with log_path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", program, "serve", "--host", "127.0.0.1", "--port", "0"),
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # an interrupt at the keyboard is ours to handle
            )
        try:
            yield BenchServer(await _url(process, log_path), state_dir / "calls")
        finally:
            await _stop(process)


async def _url(process: asyncio.subprocess.Process, log_path: Path) -> str:
    deadline_s = asyncio.get_running_loop().time() + _READY_WITHIN_S
    while asyncio.get_running_loop().time() < deadline_s:
        text = await asyncio.to_thread(log_path.read_text, errors="replace")
        for line in text.splitlines():
            if '"ready"' in line and (found := _URL.search(line)):
                return found.group()
        if process.returncode is not None:
            raise ConfigError(f"the server to measure did not start: {_tail(text)}")
        await asyncio.sleep(0.1)
    raise ConfigError(f"the server to measure was not ready within {_READY_WITHIN_S:g} s")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(_STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-3:]) or "it said nothing"
