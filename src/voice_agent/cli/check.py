"""``voice-agent check``: is everything in order that a call needs, and if not, what is to be done?"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voice_agent.clock import process_seconds
from voice_agent.config import Settings, load_settings
from voice_agent.errors import ConfigError, VoiceAgentError
from voice_agent.observability.logging import configure_logging
from voice_agent.providers.pool import ModelPool

if TYPE_CHECKING:
    from voice_agent.cli.provider_check import Trial

_FREE_MIN_BYTES = 1_000_000_000  # a day of event logs of a busy small server, and the knowledge base


@dataclass(frozen=True, slots=True)
class Finding:
    """One row. ``detail`` says what is, where it is in order, and else what is wrong and what to do."""

    name: str
    ok: bool
    detail: str


Check = Callable[[Settings], Awaitable[str]]


def run_check() -> int:
    """Prints the tables; 0 where all is in order, else 1."""
    pipeline = configure_logging("ERROR")
    try:
        trials, findings = asyncio.run(_examine())
    finally:
        pipeline.stop()
    console = Console(highlight=False)
    if trials:
        console.print(_provider_table(trials))
        for trial in trials:  # beside the table: a column of its own would be three words wide on a usual terminal
            console.print(Text(f"{trial.stage}, {trial.provider}: {trial.detail}"))
        console.print()
    table = Table("what", "", "detail", title="voice-agent check", title_justify="left")
    for finding in findings:
        table.add_row(finding.name, _mark(finding.ok), Text(finding.detail))
    console.print(table)
    return 0 if all(trial.ok for trial in trials) and all(finding.ok for finding in findings) else 1


async def _examine() -> tuple[list[Trial], list[Finding]]:
    """Bad settings end it, as nothing else can be known then."""
    try:
        settings = load_settings()
    except ConfigError as error:
        return [], [Finding("settings", False, str(error))]
    valid = Finding("settings", True, "every variable is valid (voice-agent config shows them)")
    return await providers_of(settings), [valid, *await findings_of(settings, CHECKS)]


def _provider_table(trials: list[Trial]) -> Table:
    columns = ("stage", "provider", "", "reachable", "authorised", "first result")
    table = Table(*columns, title="providers, in order of preference", title_justify="left")
    for trial in trials:
        first = "" if trial.first_s is None else f"{trial.first_s * 1000:.0f} ms"
        known = (_yes_no(trial.reachable), _yes_no(trial.authorised))
        table.add_row(trial.stage, trial.provider, _mark(trial.ok), *known, first)
    return table


def _mark(ok: bool) -> Text:
    return Text("ok", "green") if ok else Text("failed", "bold red")


def _yes_no(known: bool | None) -> str:
    return "" if known is None else "yes" if known else "no"


async def findings_of(settings: Settings, checks: tuple[tuple[str, Check], ...]) -> list[Finding]:
    """Runs the checks one after another."""
    findings = []
    for name, check in checks:
        try:
            findings.append(Finding(name, True, await check(settings)))
        except (VoiceAgentError, OSError) as error:
            findings.append(Finding(name, False, str(error)))
    return findings


async def providers_of(settings: Settings) -> list[Trial]:
    """Tries every provider of every chain."""
    from voice_agent.cli.provider_check import try_providers
    from voice_agent.providers.embedding.minilm import MiniLmEmbedder
    from voice_agent.providers.registry import provider_context

    async with _pool(settings) as pool:
        context = provider_context(settings, pool, MiniLmEmbedder(pool))
        try:
            return await try_providers(settings, context)
        finally:
            await context.web.aclose()


async def _turn_taking(settings: Settings) -> str:
    from voice_agent.providers.embedding.minilm import MiniLmEmbedder
    from voice_agent.providers.turn.smart_turn import SmartTurnModel
    from voice_agent.providers.understanding.semantic import SemanticUnderstanding
    from voice_agent.providers.vad.silero import SileroDetectorFactory

    async with _pool(settings) as pool:
        begun_s = process_seconds()
        await SileroDetectorFactory(pool).warm_up()
        await SmartTurnModel(pool).warm_up()
        await SemanticUnderstanding(MiniLmEmbedder(pool)).warm_up()
    return f"voice detection, end of turn, meaning: loaded and run in {process_seconds() - begun_s:.1f} s"


@asynccontextmanager
async def _pool(settings: Settings) -> AsyncIterator[ModelPool]:
    pool = ModelPool(settings.local_models.workers, settings.local_models.queue)
    try:
        yield pool
    finally:
        await pool.close()


async def _database(settings: Settings) -> str:
    from voice_agent.store.database import open_database

    async with open_database(settings.store, settings.server.state_dir) as database:
        return f"{database.name}: readable, writable, of this version"


async def _second_factor(settings: Settings) -> str:
    name = settings.identity.second_factor
    if not name:
        return "none: the PIN alone proves a caller (SECOND_FACTOR)"
    from voice_agent.store.database import open_database
    from voice_agent.store.totp_secrets import TotpSecrets
    from voice_agent.tools.second_factor import load_second_factor

    others = "handed over" if settings.identity.second_factor_required else "verified by their PIN"
    if not settings.identity.uses_totp:
        lengths = sorted(load_second_factor(name).code_lengths)
        return f"{name}: loaded, codes of {' or '.join(map(str, lengths))} digits; callers without one are {others}"
    async with open_database(settings.store, settings.server.state_dir) as database:
        total, sealed_otherwise = await TotpSecrets(database, settings.identity).sealed_otherwise()
    if sealed_otherwise:
        raise ConfigError(
            f"{sealed_otherwise} of {total} TOTP secrets do not open with this IDENTITY_KEY: set the one they were stored "
            "with, or give those callers new ones (voice-agent callers set-totp)."
        )
    return f"totp: callers with a secret: {total}, all of them open; the others are {others}"


async def _knowledge(settings: Settings) -> str:
    if not settings.knowledge.enabled:
        return "switched off (ENABLE_RAG)"
    from voice_agent.app.stores import open_knowledge_base

    async with open_knowledge_base(settings) as knowledge:
        documents = await knowledge.documents()
        if not documents:
            raise ConfigError("The knowledge base is empty. Add documents: voice-agent kb add FOLDER.")
        answer = await knowledge.search(documents[0].title)
        passages = sum(document.chunks for document in documents)
        if not answer.passages:
            raise ConfigError(f"{len(documents)} documents are there, yet a search finds nothing: add them again.")
        return f"{len(documents)} documents, {passages} passages, searchable"


async def _order_system(settings: Settings) -> str:
    from voice_agent.cli.shop_keeper import order_system
    from voice_agent.providers.web import WebClient, load_http
    from voice_agent.tools.backend_client import ShopClient

    quiet = settings.server.model_copy(update={"log_level": "ERROR"})
    async with order_system(replace(settings, server=quiet)) as shop:
        await shop.up()
        reached = shop.settings.shop
        if not reached.api_url:
            return "none, so no tools on orders (set SHOP_API_URL and SHOP_API_TOKEN to have them)"
        await asyncio.to_thread(load_http)
        web = WebClient()
        try:
            begun_s = process_seconds()
            await ShopClient(web, reached).warm()
            took_ms = (process_seconds() - begun_s) * 1000
        finally:
            await web.aclose()
    whose = reached.api_url if settings.shop.api_url else "the demo shop, which a server starts for itself"
    return f"{whose}: answers, and accepts the token ({took_ms:.0f} ms)"


async def _port(settings: Settings) -> str:
    host, port = settings.server.host, settings.server.port
    try:
        with socket.create_server((host, port)):
            return f"{host}:{port} is free"
    except OSError as error:
        status = await asyncio.to_thread(_ready_status, f"http://{host}:{port}/ready")
        if status:
            return f"{host}:{port}: a voice-agent server is running there ({status})"
        raise ConfigError(
            f"{host}:{port} is taken by another program ({error.strerror}). Set PORT, or use serve --port."
        ) from None


def _ready_status(url: str) -> str:
    """What a server of ours says of itself; empty where something else answers, or nothing."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - http to the configured address
            body = json.load(answer)
    except (OSError, ValueError):
        return ""
    return str(body.get("status", "")) if isinstance(body, dict) and "active_sessions" in body else ""


async def _disk(settings: Settings) -> str:
    folder = settings.server.state_dir.resolve()
    free = shutil.disk_usage(_existing(folder)).free
    if free < _FREE_MIN_BYTES:
        raise ConfigError(f"{folder} has {free / 1e9:.1f} GB left. Free some space, or set STATE_DIR elsewhere.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    probe = folder / ".write-check"
    try:
        probe.write_bytes(b"ok")
        probe.unlink()
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}. Set STATE_DIR elsewhere.") from None
    return f"{folder}: writable, {free / 1e9:.0f} GB free"


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


CHECKS: tuple[tuple[str, Check], ...] = (
    ("turn taking", _turn_taking),
    ("database", _database),
    ("second factor", _second_factor),
    ("knowledge base", _knowledge),
    ("order system", _order_system),
    ("port", _port),
    ("disk", _disk),
)
