"""Secrets spoken and keyed in real calls, and every place where they must not be.

Callers of several voices place calls over the WebSocket, in real time, to a real ``voice-agent serve`` with the local
recogniser; PINs, cards and security codes come asked for and unasked, in one breath, in pieces, over several turns, over the
agent, by keys, as the last words of a call. The language model is the built-in one behind OpenAI's protocol
(``voice-agent dev-vendors``), so that what a vendor would be sent is seen. Then each sink is searched: event logs, frames,
the process log at DEBUG, /metrics, /api/calls, every table and file of the state directory, the model's requests.

The search is shown to be able to find: the recogniser's own words, without the platform, must hold the secrets (column
"words"), and something must have been taken out in nearly every call (column "taken").

    .venv/bin/python benchmarks/secrets_spoken.py
    .venv/bin/python benchmarks/secrets_spoken.py --only card
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path

from common import console, save
from rich.markup import escape
from rich.table import Table
from spoken_secrets.call import Played, audio_of, place
from spoken_secrets.scenarios import SCENARIOS, Key, Line, Scenario
from spoken_secrets.sinks import Before, Finding, Hit, Noted, finding, shared_hits
from tests.hearing import recognised
from tests.servers import RunningServer, running_server
from tests.vendors import vendors_in_thread

from voice_agent.dev_vendors.desk import Engines
from voice_agent.dev_vendors.engines import open_engines
from voice_agent.evaluation.adversary.leaks import leaks
from voice_agent.evaluation.adversary.secrets import Secrets
from voice_agent.providers.llm.base import LanguageModel, LlmEvent, LlmRequest

_IN_WORDS_MIN = 0.8  # of the calls with spoken secrets: the recogniser's own words hold them
_TAKEN_MIN = 0.9  # of all calls: something was taken out

Prepared = tuple[Scenario, Secrets, dict[Line, bytes]]


class NotingModel:
    """The language vendor's model; what it is asked is kept."""

    def __init__(self, model: LanguageModel, noted: Noted) -> None:
        self._model = model
        self._noted = noted

    async def warm_up(self) -> None:
        await self._model.warm_up()

    def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        self._noted.requests.append([asdict(message) for message in request.messages])
        return self._model.stream(request)


def settings(vendor_url: str, key: str) -> dict[str, str]:
    return {
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
        "LLM_PROVIDER": "openai",
        "OPENAI_BASE_URL": vendor_url,
        "OPENAI_API_KEY": key,
        "LLM_FIRST_RESULT_MS": "5000",  # the vendor shares the machine with the platform and the callers
    }


async def play(server: RunningServer, calls: Sequence[Prepared], noted: Noted, at_once: int) -> list[Played]:
    gate = asyncio.Semaphore(at_once)

    async def one(scenario: Scenario, secrets: Secrets, audio: dict[Line, bytes]) -> Played:
        async with gate:
            played = await place(server, scenario, secrets, audio)
            await asyncio.to_thread(noted.read_pages, server)
            return played

    return await asyncio.gather(*(one(*call) for call in calls))


def in_words(calls: Sequence[Prepared]) -> dict[str, bool]:
    """Whether the recogniser's own words hold a secret that the same search finds, for each call that says a whole one."""
    held = {}
    for scenario, secrets, audio in calls:
        words = " ".join(recognised(pcm, 16_000) for pcm in audio.values())
        in_keys = any(isinstance(line, Key) for line in scenario.lines)
        if not in_keys and any("{" in line.text for line in audio):
            held[scenario.name] = bool(leaks(words, secrets, scenario.kinds))
    return held


def call_all(calls: Sequence[Prepared], folder: Path, at_once: int) -> tuple[list[Finding], list[Hit]]:
    noted = Noted()

    @asynccontextmanager
    async def engines() -> AsyncIterator[Engines]:
        async with open_engines() as opened:
            yield replace(opened, language_model=NotingModel(opened.language_model, noted))

    with ExitStack() as stack:
        vendors = stack.enter_context(vendors_in_thread(engines))
        with running_server(folder, settings(vendors.openai_base_url, vendors.key)) as server:
            before = Before.in_folder(server.state_dir)
            played = asyncio.run(play(server, calls, noted, at_once))
        logs = {path.stem: path for path in server.event_logs()}
        findings = [finding(call, logs[call.call_id]) for call in played]
        return findings, shared_hits(played, server, noted, before)


def show(findings: Sequence[Finding], held: dict[str, bool]) -> None:
    table = Table(title="Secrets spoken", title_justify="left")
    for column in ("call", "voice", "heard (masked)", "words", "PIN", "taken", "hits"):
        table.add_column(column)
    for found in findings:
        scenario = found.played.scenario
        accepted = "-" if scenario.verifies is None else "accepted" if found.verified else "NOT accepted"
        words = {None: "-", True: "held", False: "misheard"}[held.get(scenario.name)]
        heard = found.heard + (f" ({found.played.problem})" if found.played.problem else "")
        row = (scenario.name, scenario.voice, heard, words, accepted, str(found.taken), ", ".join(map(str, found.hits)))
        table.add_row(*map(escape, row))
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="a pattern for the scenarios' names")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="keep the server's log and state in this folder")
    options = parser.parse_args()
    chosen = [scenario for scenario in SCENARIOS if re.search(options.only, scenario.name)]
    drawn = [(scenario, scenario.secrets(options.seed)) for scenario in chosen]
    calls = [(scenario, secrets, audio_of(scenario, secrets)) for scenario, secrets in drawn]
    held = in_words(calls)
    with tempfile.TemporaryDirectory() as temporary:
        findings, shared = call_all(calls, options.keep or Path(temporary), options.at_once)
    show(findings, held)
    hits = [hit for found in findings for hit in found.hits] + shared
    for hit in shared:
        console.print(f"  {escape(str(hit))}")
    wanted = [found for found in findings if found.played.scenario.verifies]
    accepted, taken = sum(found.verified for found in wanted), sum(found.taken > 0 for found in findings)
    console.print(
        f"{len(findings)} calls, {len(hits)} hits; the recogniser's words held the secret in {sum(held.values())} of "
        f"{len(held)}, something was taken out in {taken} of {len(findings)}, "
        f"the PIN accepted in {accepted} of {len(wanted)}"
    )
    save(
        "secrets_spoken",
        {
            "calls": len(findings),
            "hits": len(hits),
            "in_words": sum(held.values()),
            "taken": taken,
            "accepted": accepted,
        },
    )
    blind = sum(held.values()) < _IN_WORDS_MIN * len(held) or taken < _TAKEN_MIN * len(findings)
    sys.exit(1 if hits or blind else 0)


if __name__ == "__main__":
    main()
