"""``voice-agent demo-backend``: the demo shop's order system, until interrupted."""

from __future__ import annotations

import asyncio
import secrets
import signal
from dataclasses import dataclass

from rich.console import Console

from voice_agent.clock import LoopClock
from voice_agent.config import Settings, load_settings
from voice_agent.demo_backend.faults import FaultBoard, parse_fault
from voice_agent.demo_backend.server import RunningShop, running_shop
from voice_agent.errors import ConfigError
from voice_agent.observability.logging import configure_logging

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class BackendPlan:
    """What the user asked for. ``faults``: "cancel_order=hang"; any of them, or ``switchboard``, allows switching."""

    host: str
    port: int
    switchboard: bool
    faults: tuple[str, ...]


def run_demo_backend(plan: BackendPlan) -> None:
    """Serves until interrupted. Raises ``ConfigError`` for what cannot be done."""
    settings = load_settings()
    pipeline = configure_logging(settings.server.log_level, settings.server.log_format)
    try:
        asyncio.run(_serve(plan, settings))
    finally:
        pipeline.stop()


async def _serve(plan: BackendPlan, settings: Settings) -> None:
    board = _board(plan)
    token = settings.shop.api_token.get_secret_value()
    if not token and plan.host not in _LOOPBACK:
        raise ConfigError(f"--host {plan.host} listens beyond this machine, so SHOP_API_TOKEN must be set.")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    settings.server.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with running_shop(
        state_dir=settings.server.state_dir,
        database_url=settings.shop.database_url.get_secret_value(),
        token=token or secrets.token_urlsafe(24),
        clock=LoopClock(),
        host=plan.host,
        port=plan.port,
        faults=board,
    ) as shop:
        Console(highlight=False, markup=False, soft_wrap=True).print(_welcome(shop, token_known=bool(token)))
        await stop.wait()


def _board(plan: BackendPlan) -> FaultBoard | None:
    if not plan.switchboard and not plan.faults:
        return None
    board = FaultBoard()
    for text in plan.faults:
        board.set(*parse_fault(text))
    return board


def _welcome(shop: RunningShop, *, token_known: bool) -> str:
    lines = [
        f"# {shop.size.callers} callers, {shop.size.orders} orders in {shop.database.name}.",
        "# Paste these where you start voice-agent:",
        f"export SHOP_API_URL={shop.url}",
        # A token that was set stays where it was set; one that was made up has to be told.
        "export SHOP_API_TOKEN=... # as it is set here" if token_known else f"export SHOP_API_TOKEN={shop.token}",
        f"# The API is described at {shop.url}/openapi.json",
    ]
    if shop.faults is not None:
        lines += [
            "# Switch a fault at any time:",
            f"#   curl -X PUT {shop.url}/dev/faults/cancel_order/hang   (none heals; ?times=1 strikes once)",
        ]
    return "\n".join([*lines, "# Ctrl-C ends."])
