"""Real servers for tests: ``voice-agent serve`` as a child process with a state directory and a log of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import psutil

READY_WITHIN_S = 120.0  # a first start builds the knowledge base; a busy machine may take its time
_STOP_WITHIN_S = 45.0


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that is ready to take calls. ``log_path`` holds everything the process printed."""

    port: int
    pid: int
    state_dir: Path
    log_path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, timeout_s: float = 10.0) -> str:
        """The body of a page of the server. Raises ``urllib.error.HTTPError``."""
        with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 where it has no sample yet."""
        lines = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? (\S+)$", self.get("/metrics"), re.MULTILINE)
        return sum(float(value) for value in lines)

    def event_logs(self) -> list[Path]:
        return sorted(self.state_dir.rglob("*.jsonl"))


@contextmanager
def running_server(
    folder: Path, settings: Mapping[str, str] | None = None, program: Sequence[str] = ()
) -> Iterator[RunningServer]:
    """Starts a server, waits until it is ready, and stops it (SIGTERM, then by force).

    ``settings`` are environment variables on top of the defaults; the developer's own settings and .env stay out.
    ``program`` is another command that serves on PORT. Raises ``RuntimeError`` with the end of the log where the server
    does not become ready, does not stop or leaves a process behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state_dir, log_path, port = folder / "state", folder / "server.log", _free_port()
    keep = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    environment = {name: os.environ[name] for name in keep if name in os.environ} | {
        "PORT": str(port),
        "STATE_DIR": str(state_dir),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "DRAIN_TIMEOUT_S": "5",
        # A machine that runs tests may be busy with others; what admission does about that is tested on its own.
        "ADMISSION_MAX_LOOP_LAG_MS": "5000",
        "ADMISSION_MAX_PLAYOUT_LATENESS_MS": "5000",
        "ADMISSION_RAMP_CALLS_PER_S": "1000",
        **(settings or {}),
    }
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            program or [str(Path(sys.executable).with_name("voice-agent")), "serve"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
        )
    server = RunningServer(port, process.pid, state_dir, log_path)
    try:
        _wait_until_ready(server, process)
        yield server
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(server: RunningServer, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise RuntimeError(f"the server exited with {process.returncode}:\n{_tail(server.log_path)}")
        try:
            server.get("/ready", timeout_s=2)
        except (URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the server was not ready within {READY_WITHIN_S:g} s:\n{_tail(server.log_path)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    helpers: list[psutil.Process] = []
    if process.poll() is None:
        helpers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RuntimeError(f"the server had to be killed: SIGTERM did not end it in {_STOP_WITHIN_S:g} s") from None
    _, left = psutil.wait_procs(helpers, timeout=10)
    if left:
        raise RuntimeError(f"the server left processes behind: {[each.cmdline() for each in left]}")


def _tail(path: Path, lines: int = 30) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
