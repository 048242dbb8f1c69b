"""The stand-in servers, running: one server for all protocols, and a fault line in front of it for each stage."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from voice_agent.dev_vendors.deepgram import deepgram_routes
from voice_agent.dev_vendors.desk import Mark, VendorDesk
from voice_agent.dev_vendors.fault_line import FaultLine, open_line
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.openai_api import openai_routes
from voice_agent.dev_vendors.switchboard import switchboard_routes
from voice_agent.gateway.side_server import LOOPBACK, port_errors, serving

MAX_MESSAGE_BYTES = 16 * 1024 * 1024  # of a WebSocket message, as the vendors have it
_CLOSE_WITHIN_S = 2
_PORTS = (Stage.ASR, Stage.LLM, Stage.TTS)


@dataclass(frozen=True, slots=True)
class RunningVendors:
    """``lines``: the addresses to use, one a stage; any of them takes any request. ``direct_url`` goes past the lines."""

    desk: VendorDesk
    lines: Mapping[Stage, FaultLine]
    direct_url: str

    def url(self, stage: Stage) -> str:
        """Base URL of a stage's line, without a path."""
        return self.lines[stage].url

    @property
    def deepgram_url(self) -> str:
        """For DEEPGRAM_URL: recognition's line; Deepgram's synthesis goes over it as well."""
        return self.url(Stage.ASR)

    @property
    def openai_base_url(self) -> str:
        """For OPENAI_BASE_URL: the language model's line; OpenAI's synthesis goes over it as well."""
        return f"{self.url(Stage.LLM)}/v1"

    @property
    def compatible_base_url(self) -> str:
        """For COMPATIBLE_BASE_URL: the same API on synthesis' line."""
        return f"{self.url(Stage.TTS)}/v1"

    def set_fault(self, stage: Stage, fault: Fault | None, *, after_bytes: int | None = None) -> None:
        """Switches a stage's fault, of either kind; ``None`` heals it."""
        self.desk.faults.set(stage, fault, after_bytes=after_bytes)

    def environment(self) -> dict[str, str]:
        """Settings that send a platform here, local providers behind."""
        return {
            "ASR_PROVIDER": "deepgram,local",
            "LLM_PROVIDER": "openai,builtin",
            "TTS_PROVIDER": "openai,local",
            "DEEPGRAM_URL": self.deepgram_url,
            "DEEPGRAM_API_KEY": self.desk.key,
            "OPENAI_BASE_URL": self.openai_base_url,
            "OPENAI_API_KEY": self.desk.key,
            "COMPATIBLE_BASE_URL": self.compatible_base_url,
            "COMPATIBLE_API_KEY": self.desk.key,
        }


@asynccontextmanager
async def running_vendors(desk: VendorDesk, *, port: int = 0) -> AsyncIterator[RunningVendors]:
    """Serves on loopback in this event loop. ``port``: of recognition's line, the next ones are the language model's,
    synthesis', and the server itself; 0 takes free ones.

    Raises ``ConfigError`` where a port is taken. Leaving resets what is still connected.
    """
    async with AsyncExitStack() as stack:
        server_port = await stack.enter_async_context(_serving(desk, port + len(_PORTS) if port else 0))
        lines: dict[Stage, FaultLine] = {}

        def on_strike(stage: Stage, fault: Fault) -> None:
            desk.journal.note(stage, 0, Mark.STRUCK, fault)

        for offset, stage in enumerate(_PORTS):
            wanted = port + offset if port else 0
            with port_errors(LOOPBACK, wanted):
                lines[stage] = await stack.enter_async_context(
                    open_line(desk.faults, stage, server_port, wanted, on_strike=on_strike)
                )
        yield RunningVendors(desk, lines, f"http://{LOOPBACK}:{server_port}")


def vendor_routes(desk: VendorDesk) -> list[BaseRoute]:
    """Every path of every vendor, and the switchboard's."""
    return [*deepgram_routes(desk), *openai_routes(desk), *switchboard_routes(desk)]


def _no_denial(record: logging.LogRecord) -> bool:
    """uvicorn takes an upgrade that was refused with an answer for one that was forgotten."""
    return record.getMessage() != "ASGI callable returned without completing handshake."


@asynccontextmanager
async def _serving(desk: VendorDesk, port: int) -> AsyncIterator[int]:
    """The server without lines; gives its port."""
    errors = logging.getLogger("uvicorn.error")
    errors.addFilter(_no_denial)
    try:
        async with serving(
            Starlette(routes=vendor_routes(desk)),
            port=port,
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=_CLOSE_WITHIN_S,
        ) as taken:
            yield taken
    finally:
        errors.removeFilter(_no_denial)
