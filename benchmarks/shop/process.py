"""The demo shop as a process of its own, for measurements: started, stopped, broken, healed, and looked into."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import orjson

from voice_agent.demo_backend.database import SQLITE_FILE
from voice_agent.demo_backend.faults import Endpoint, Fault

_STOP_S = 30.0


class ShopProcess:
    """``voice-agent demo-backend --faults`` on a port of its own, which it keeps over restarts. Blocking."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.token = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[str] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> ShopProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when it answers. Raises ``RuntimeError`` where it does not."""
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._process = subprocess.Popen(
            [str(Path(sys.executable).with_name("voice-agent")), "demo-backend", "--faults", "--port", str(self._port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._folder,
            env={
                **kept,
                "STATE_DIR": str(self._folder),
                "SHOP_API_TOKEN": self.token,
                "PYTHONUNBUFFERED": "1",
                "LOG_LEVEL": "WARNING",  # nobody reads on once it answers
            },
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if line.startswith("# Ctrl-C"):
                return
        raise RuntimeError(f"the shop did not start:\n{''.join(said)}")

    def stop(self) -> None:
        """Nobody answers on its port any more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.communicate(timeout=_STOP_S)
            self._process = None

    def strike(self, endpoint: Endpoint, fault: Fault | None, *, slow_ms: int = 1000, times: int | None = None) -> None:
        """``None`` heals."""
        query = f"slow_ms={slow_ms}" + (f"&times={times}" if times is not None else "")
        self._asked("PUT", f"/dev/faults/{endpoint}/{fault or 'none'}?{query}")

    def asked(self, endpoint: Endpoint) -> int:
        """How many requests came to an endpoint since the start."""
        return int(orjson.loads(self._asked("GET", "/dev/faults/asked"))[endpoint])

    def _asked(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bytes(answer.read())

    def refunds(self, order_id: str) -> int:
        """How often an order was cancelled, by what was paid back for it."""
        with closing(sqlite3.connect(self._folder / SQLITE_FILE)) as connection:
            (count,) = connection.execute(
                "SELECT count(*) FROM shop_refunds WHERE order_id = ?", (order_id,)
            ).fetchone()
        return int(count)

    def reopen(self, order_id: str) -> None:
        """The order was never cancelled."""
        with closing(sqlite3.connect(self._folder / SQLITE_FILE)) as connection, connection:
            connection.execute("UPDATE shop_orders SET status = 'processing' WHERE order_id = ?", (order_id,))
            connection.execute("DELETE FROM shop_refunds WHERE order_id = ?", (order_id,))
