"""Programs that begin at the same moment, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

_PIPE = subprocess.PIPE


def _start(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=_PIPE, stdout=_PIPE, stderr=_PIPE, text=True)


async def race(program: str, *arguments: str) -> list[Any]:
    """Two processes run ``program``, which prints "ready", waits for a line, and prints its outcome as JSON."""
    command = [sys.executable, "-c", program, *arguments]
    racers = [_start(command) for _ in range(2)]
    for racer in racers:
        assert racer.stdout is not None
        assert await asyncio.to_thread(racer.stdout.readline) == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [await asyncio.to_thread(racer.communicate) for racer in racers]
    assert [errors for _, errors in outputs] == ["", ""]
    return [json.loads(output) for output, _ in outputs]
