"""The demo shop as a process of its own beside a server: what ``shop_keeper`` starts.

It is told where its data lies in one line on its standard input, and says in one line on its standard output that it can be
asked, or why not. It ends when its standard input does: when the server has ended, however that died. Signals do not end
it: a service manager sends SIGTERM to every process of a service, and calls that are still drained need their tools.

What only this process needs is imported when it runs: whoever starts it stays small.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import orjson
import uvloop

from voice_agent.clock import LoopClock
from voice_agent.errors import VoiceAgentError
from voice_agent.observability.logging import configure_logging

# Longer than the shop gives its last requests; then it ends by force, for there is nobody left to end it.
_FORCE_AFTER_S = 4.0


@dataclass(frozen=True, slots=True)
class ShopPlace:
    """What the process is told. ``port`` is on loopback; ``database_url`` empty: a file in ``state_dir``."""

    state_dir: str
    database_url: str
    port: int
    token: str
    log_level: str
    log_format: str


@dataclass(frozen=True, slots=True)
class ShopReport:
    """What it answers. ``failure`` empty: it can be asked; else why not, for the operator."""

    callers: int = 0
    orders: int = 0
    failure: str = ""


def main() -> None:
    """The process's main function."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    told = sys.stdin.buffer.readline()
    if not told:  # the server has gone already
        return
    place = ShopPlace(**orjson.loads(told))
    with suppress(OSError):  # to open the database tells what is wrong with it
        Path(place.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    pipeline = configure_logging(place.log_level, place.log_format)
    try:
        uvloop.run(_serve(place))
    finally:
        pipeline.stop()
    # Everything is closed. To take the interpreter down takes longer than all that, and the server waits for it.
    os._exit(0)


async def _serve(place: ShopPlace) -> None:
    from voice_agent.demo_backend.server import running_shop

    stop = asyncio.Event()
    lifeline = threading.Thread(
        target=_end_with_parent, args=(asyncio.get_running_loop(), stop), name="lifeline", daemon=True
    )
    lifeline.start()
    try:
        async with running_shop(
            state_dir=Path(place.state_dir),
            database_url=place.database_url,
            token=place.token,
            clock=LoopClock(),
            port=place.port,
        ) as shop:
            _say(ShopReport(shop.size.callers, shop.size.orders))
            await stop.wait()
    except VoiceAgentError as error:
        _say(ShopReport(failure=str(error)))


def _end_with_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    # Not by way of sys.stdin: its lock would be held when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    with suppress(RuntimeError):  # the loop has ended meanwhile
        loop.call_soon_threadsafe(stop.set)
    threading.Event().wait(_FORCE_AFTER_S)
    os._exit(1)


def _say(report: ShopReport) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(orjson.dumps(report, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
