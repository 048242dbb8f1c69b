"""A server of several workers whose providers answer at once: run as a program, for the tests of ``WORKERS``."""

from __future__ import annotations

from benchmarks.scripted_server import scripted_services

from voice_agent.cli.launch import run
from voice_agent.config import load_settings
from voice_agent.observability.logging import configure_logging


def main() -> None:
    settings = load_settings(None)
    pipeline = configure_logging("INFO", "console")
    try:
        run(settings, lambda url: print("READY", url, flush=True), make_services=scripted_services)  # noqa: T201 - awaited
    finally:
        pipeline.stop()


if __name__ == "__main__":
    main()
