"""``voice-agent serve``: one process, or several that share the port (``WORKERS``).

What only the workers need is imported by them: their parent stays small.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
import uvloop
from rich.console import Console
from rich.panel import Panel

from voice_agent.clock import process_seconds
from voice_agent.config import Settings, load_settings
from voice_agent.observability.logging import configure_logging

if TYPE_CHECKING:
    from voice_agent.call.services import CallServices

_log = structlog.get_logger(__name__)


def run_server(*, host: str | None, port: int | None, workers: int | None, begun_s: float) -> None:
    """Serves until SIGINT or SIGTERM, then drains. ``begun_s`` is when the program started, for the ready message.

    Raises ``ConfigError`` for settings, models, a database or an address that cannot be used.
    """
    # The options are settings like any other, so that they are checked as such.
    options = (("HOST", host), ("PORT", port), ("WORKERS", workers))
    os.environ.update({name: str(value) for name, value in options if value is not None})
    settings = load_settings()
    pipeline = configure_logging(settings.server.log_level, settings.server.log_format)
    try:
        run(settings, lambda url: _announce(settings, url, process_seconds() - begun_s))
    finally:
        pipeline.stop()


def run(
    settings: Settings,
    on_ready: Callable[[str], None],
    *,
    make_services: Callable[[Settings], CallServices] | None = None,
) -> None:
    """Serves with ``settings.server.workers`` processes until SIGINT or SIGTERM, then drains; ``on_ready`` gets the base
    URL once calls are admitted. Logging is the caller's.

    ``make_services`` replaces what calls work with (benchmarks bring scripted providers). With several workers each of
    them imports it by its name, so it must be a function of a module, and a program that calls this must do so under
    ``if __name__ == "__main__"``. Raises ``ConfigError``.
    """
    if settings.server.workers > 1:
        from voice_agent.cli.supervisor import supervise

        uvloop.run(supervise(settings, on_ready, make_services=make_services))
        return
    from voice_agent.cli.serve import serve

    services = make_services(settings) if make_services is not None else None
    uvloop.run(serve(settings, on_ready, services=services))


def _announce(settings: Settings, url: str, seconds: float) -> None:
    """Where to go, for a person at a terminal; a log line elsewhere. The demo caller's PIN stays out of logs."""
    server = settings.server
    console = Console(highlight=False)
    if not console.is_terminal:
        _log.info("ready", url=url, seconds=round(seconds, 2), capacity=server.max_calls, workers=server.workers)
        return
    lines = [
        f"Call console   [bold]{url}/[/]",
        f"Ready in       {seconds:.1f} s, up to {server.max_calls} calls at once"
        + (f", in {server.workers} processes" if server.workers > 1 else ""),
    ]
    if settings.demo_data_wanted:
        lines += [
            "",
            "Try it as the demo caller [bold]+15550100[/], PIN [bold]4271[/]:",
            "  [italic]Where is my order eight three one oh two?[/]",
            '  voice-agent call --say "What is your return policy?"',
            "  voice-agent callers demo   [dim]# 229 more people to be[/]",
        ]
    console.print(Panel("\n".join(lines), title="voice-agent", border_style="green", expand=False))
