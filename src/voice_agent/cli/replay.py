"""``voice-agent replay``: a recorded call through the machine again."""

from __future__ import annotations

from pathlib import Path

import typer

from voice_agent.evaluation.replay import replay


def run_replay(path: Path) -> int:
    """Prints the report; 0 where every command is the recorded one, else 1. Raises ``ReplayError``."""
    report = replay(path)
    typer.echo(report.text())
    return 0 if report.same else 1
