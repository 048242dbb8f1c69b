"""The command line as a user runs it: a process of its own, its output and its exit code."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.servers import RunningServer

from voice_agent.evaluation.caller_audio import write_wav

pytestmark = [pytest.mark.speech, pytest.mark.timeout(180)]


def voice_agent(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {k: os.environ[k] for k in ("PATH", "HOME") if k in os.environ}
    environment |= {"STATE_DIR": str(folder / "state"), "COLUMNS": "200", "OPENBLAS_NUM_THREADS": "1", **settings}
    program = str(Path(sys.executable).with_name("voice-agent"))
    return subprocess.run(
        [program, *arguments], capture_output=True, text=True, cwd=folder, env=environment, check=False, timeout=150
    )


def test_a_call_needs_no_running_server(tmp_path: Path) -> None:
    done = voice_agent(
        tmp_path, "call", "--local", "--say", "Do you ship to Canada?", "--say", "Thank you.", "--save", "answer.wav"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Caller Do you ship to Canada?" in done.stdout
    assert "knowledge_base: ok" in done.stdout
    assert "Latencies (ms)" in done.stdout
    assert "Traceback" not in done.stderr
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert file.getframerate() == 24_000
        assert file.getnframes() > 5 * 24_000


def test_a_folder_of_recordings_is_said_in_order(
    tmp_path: Path, server: RunningServer, speech: Callable[..., bytes]
) -> None:
    for number, text in enumerate(("How much is standard shipping?", "Can I pay with PayPal?")):
        write_wav(tmp_path / f"{number}.wav", speech(text, "joe", 16_000), 16_000)
    done = voice_agent(tmp_path, "call", "--dir", str(tmp_path), "--url", server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.index("standard shipping") < done.stdout.index("PayPal")


def test_check_finds_everything_in_order(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    done = voice_agent(tmp_path, "check", PORT=port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "│ failed" not in done.stdout  # a mark; the recording that recognition is tried on says the word


def test_check_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "voice_agent.db").write_bytes(b"this is no database" * 1000)
    done = voice_agent(tmp_path, "check")
    assert done.returncode == 1
    row = next(line for line in done.stdout.splitlines() if "database" in line)
    assert "failed" in row


def test_serving_on_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = voice_agent(tmp_path, "serve", "--port", port)
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert f"PORT={port}" in done.stderr


def test_the_pin_of_the_demo_caller_is_not_announced_in_a_log(server: RunningServer) -> None:
    assert not re.search(r"(?<![\w.])4271(?!\w)", server.log_path.read_text())
