"""Brings in the tools of all sources at the start."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from voice_agent.clock import LoopClock
from voice_agent.config import ToolSettings
from voice_agent.errors import ConfigError
from voice_agent.providers.web import WebClient
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.sources.functions import tools_of_entry_points, tools_of_modules

if TYPE_CHECKING:
    from voice_agent.tools.sources.mcp import McpTools
    from voice_agent.tools.sources.tools_file import McpServer, ToolsFile


async def load_tool_sources(
    settings: ToolSettings,
    registry: ToolRegistry,
    stack: AsyncExitStack,
    web: WebClient,
    *,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Registers the tools of ``TOOL_MODULES``, of installed packages, and of ``TOOLS_FILE``. ``stack`` closes what stays
    open. ``environment`` holds the file's secrets; by default the process's, and ``.env`` for what that lacks.

    Raises ``ConfigError``. An MCP server that cannot be reached now is tried again while calls go on.
    """
    for tool in (*tools_of_modules(settings.modules), *tools_of_entry_points()):
        registry.register(tool)
    if settings.file:
        await _load_file(
            settings.file, registry, stack, web, environment if environment is not None else _environment()
        )


async def _load_file(
    path: Path, registry: ToolRegistry, stack: AsyncExitStack, web: WebClient, environment: Mapping[str, str]
) -> None:
    # These import the HTTP library, which costs a good part of a second.
    from voice_agent.tools.sources.egress import checked_client
    from voice_agent.tools.sources.http_yaml import http_tool
    from voice_agent.tools.sources.tools_file import load_tools_file

    file = load_tools_file(path)
    servers = [
        _start_server(name, server, file, path, registry, stack, web, environment) for name, server in file.mcp.items()
    ]
    for name, declared in file.http.items():
        client = checked_client(file.reachable, tls=web.tls, answer_max_bytes=declared.answer_max_kb * 1024)
        stack.push_async_callback(client.aclose)
        tool = http_tool(name, declared, client, environment, str(path))
        try:
            registry.register(tool)
        except ConfigError as error:
            raise ConfigError(f"{path}: http.{name}: {error}") from None
    await asyncio.gather(*(server.started.wait() for server in servers))


def _start_server(
    name: str,
    declared: McpServer,
    file: ToolsFile,
    path: Path,
    registry: ToolRegistry,
    stack: AsyncExitStack,
    web: WebClient,
    environment: Mapping[str, str],
) -> McpTools:
    try:
        from voice_agent.tools.sources.mcp import McpTools
        from voice_agent.tools.sources.mcp_pipe import over_http, program
    except ImportError:
        raise ConfigError(f"{path}: mcp.{name} needs the extra 'mcp': install voice-agent[mcp].") from None
    from voice_agent.tools.sources.http_yaml import filled

    where = f"{path}: mcp.{name}"
    longest_bytes = declared.answer_max_kb * 1024
    if declared.url:
        headers = filled(declared.headers, environment, f"{where}.headers")
        opener = partial(
            over_http, declared.url, file.reachable, tls=web.tls, headers=headers, answer_max_bytes=longest_bytes
        )
    else:
        variables = filled(declared.environment, environment, f"{where}.environment")
        folder = declared.folder or path.parent
        opener = partial(program, declared.command, environment=variables, folder=folder, line_max_bytes=longest_bytes)
    server = McpTools(name, declared, registry, opener, LoopClock())
    task = asyncio.get_running_loop().create_task(server.keep(), name=f"mcp-{name}")
    stack.push_async_callback(_stopped, task)
    return server


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _environment() -> Mapping[str, str]:
    """As settings are read: the environment, then ``.env``."""
    from dotenv import dotenv_values

    written = {name: value for name, value in dotenv_values(".env").items() if value}
    return {**written, **os.environ}
