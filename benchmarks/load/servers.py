"""The servers a benchmark compares: how each is started, what it costs, and one load on it.

Processor time, memory and start time come from /proc of the server's process and its children. What other processes used
meanwhile is told with every figure: on a shared machine a row with more than 0.3 cores of it says little.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from common import ROOT

BENCHMARKS = ROOT / "benchmarks"
START_WITHIN_S = 90.0
STOP_WITHIN_S = 20.0
SAMPLE_EVERY_S = 0.5
MB = 1e6


@dataclass(frozen=True)
class Target:
    """``command`` gets the port as its last argument but for ``options``; ``query`` goes to the call's address."""

    name: str
    command: tuple[str, ...]
    options: tuple[str, ...] = ()
    query: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def ours(*options: str, query: str = "events=1", name: str = "ours") -> Target:
    """This project's server; ``events=1`` as every client needs that honours "clear"."""
    return Target(name, (sys.executable, str(BENCHMARKS / "duplex_server.py")), options, query)


def floor() -> Target:
    return Target("floor", (sys.executable, str(BENCHMARKS / "floor_server.py")))


def peers(folder: Path) -> list[Target]:
    """The servers for which ``peers/setup.py`` made environments in ``folder``, leanest last."""

    def peer(name: str, framework: str, *options: str) -> Target:
        python = folder / framework / "bin" / "python"
        return Target(name, (str(python), str(BENCHMARKS / "peers" / f"{framework}_server.py")), options)

    if not (folder / "pipecat").is_dir() or not (folder / "livekit").is_dir():
        raise SystemExit(f"No environments in {folder}: run {sys.executable} benchmarks/peers/setup.py {folder} first.")
    return [
        peer("Pipecat, as shipped", "pipecat"),
        peer("Pipecat, leanest", "pipecat", "--lean"),
        peer("LiveKit, as shipped", "livekit"),
        peer("LiveKit, leanest", "livekit", "--lean"),
    ]


@dataclass
class Server:
    """A running server. ``start_s``: from its process's start until it takes connections."""

    target: Target
    process: subprocess.Popen[bytes]
    port: int
    start_s: float
    log: Path

    @property
    def url(self) -> str:
        query = f"?{self.target.query}" if self.target.query else ""
        return f"ws://127.0.0.1:{self.port}/ws/call{query}"

    def family(self) -> list[psutil.Process]:
        with suppress(psutil.Error):
            head = psutil.Process(self.process.pid)
            return [head, *head.children(recursive=True)]
        return []

    def cpu_s(self) -> float:
        total = 0.0
        for process in self.family():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def rss_mb(self) -> float:
        total = 0.0
        for process in self.family():
            with suppress(psutil.Error):
                total += process.memory_info().rss / MB
        return total

    def log_tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def running(target: Target, folder: Path) -> Iterator[Server]:
    """Starts ``target`` on a free port and stops it. Raises ``SystemExit`` with its last lines where it does not start."""
    port = _free_port()
    log = folder / f"{target.name.replace(' ', '-').replace(',', '')}-{port}.log"
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "LOAD_SPEECH") if name in os.environ}
    environment = keep | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | dict(target.environment)
    begun_s = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*target.command, str(port), *target.options],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
        )
    server = Server(target, process, port, 0.0, log)
    try:
        _wait_until_listening(server, begun_s)
        server.start_s = time.monotonic() - begun_s
        yield server
    finally:
        _stop(server)


def _wait_until_listening(server: Server, begun_s: float) -> None:
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 0.5):
            return
        if server.process.poll() is not None or time.monotonic() - begun_s > START_WITHIN_S:
            raise SystemExit(f"{server.target.name} did not start:\n{server.log_tail()}")
        time.sleep(0.01)


def _stop(server: Server) -> None:
    family = server.family()
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.process.wait(STOP_WITHIN_S)
    for process in family:
        with suppress(psutil.Error):
            if process.is_running():
                process.kill()
    server.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def load(server: Server, calls: int, *options: str, script: str = "NNTB", beside: Sequence[str] = ()) -> dict[str, Any]:
    """One load on a running server: what ``load_calls.py`` found, and what it cost the server. ``beside`` are options of a
    second client that runs meanwhile; its findings are under that name."""
    with tempfile.TemporaryDirectory(prefix="voice-agent-load-") as folder:
        out, out_beside = Path(folder) / "result.json", Path(folder) / "beside.json"
        wanted = [("--calls", str(calls), "--script", script, "--out", str(out), *options)]
        if beside:
            wanted.append((*beside, "--out", str(out_beside)))
        before_mb, peak_mb = server.rss_mb(), 0.0
        cpu_s, busy_s, begun_s = server.cpu_s(), _busy_s(), time.monotonic()
        clients = [
            subprocess.Popen(
                [sys.executable, str(BENCHMARKS / "load_calls.py"), server.url, *one], stdout=subprocess.DEVNULL
            )
            for one in wanted
        ]
        try:
            while any(client.poll() is None for client in clients):
                time.sleep(SAMPLE_EVERY_S)
                peak_mb = max(peak_mb, server.rss_mb())
        finally:
            for client in clients:
                if client.poll() is None:
                    client.kill()
        wall_s = time.monotonic() - begun_s
        if any(client.returncode != 0 for client in clients):
            raise SystemExit(f"the load client failed at {server.target.name}; the server says:\n{server.log_tail()}")
        result: dict[str, Any] = json.loads(out.read_text())
        if beside:
            result["beside"] = json.loads(out_beside.read_text())
    used_s = server.cpu_s() - cpu_s
    clients_s = sum(one["client_cores"] * one["wall_s"] for one in (result, result.get("beside")) if one)
    others = (_busy_s() - busy_s - used_s - clients_s) / wall_s
    minutes = max(result["call_minutes"], 1e-9)
    return result | {
        "target": server.target.name,
        "server_cores": round(used_s / wall_s, 3),
        "cpu_s_per_call_minute": round(used_s / minutes, 3),
        "rss_before_mb": round(before_mb, 1),
        "rss_peak_mb": round(peak_mb, 1),
        "other_cores": round(max(0.0, others), 2),
    }


def _busy_s() -> float:
    """Processor time the whole machine has used."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))
