"""The README's first command: ``make run``, first and warm."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.servers import running_server

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180)
def test_make_run_keeps_what_the_first_start_built(tmp_path: Path, figure: Callable[[str], None]) -> None:
    seconds: list[float] = []
    for _ in range(3):  # the first builds the knowledge base; of the warm ones, one may meet a busy machine
        begun_s = time.monotonic()
        with running_server(tmp_path, program=["make", "-C", str(ROOT), "run"]) as server:
            seconds.append(time.monotonic() - begun_s)
            assert "ready" in server.get("/ready")
    figure(f"make run until ready: first {seconds[0]:.1f} s, warm {min(seconds[1:]):.1f} s")
    assert min(seconds[1:]) < seconds[0]
