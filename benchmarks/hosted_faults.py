"""The fault matrix: vendors fail in every way, in real-time spoken calls, and no caller may notice more than a pause.

Each case is a call of its own, with its own server process (``deepgram,local``, ``openai,builtin``, ``openai,local``) and
its own stand-ins of the vendors, one stage of which fails from a moment on and does not heal. The caller asks three
questions, in real speech; the second one meets the fault. The stand-ins hear, think and speak by script, so that the machine
carries several calls at once; the providers that take over are the real local ones. One case a stage has nobody to take
over: there the caller is to hear an apology and to be transferred.

A case passes where the call ended properly; no silence in the received audio, from the caller's last voiced sample or inside
of what the agent says, is longer than 2 s; the event log replays to the same decisions, tells the failover, and its history
holds every question and a whole answer to each.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

from common import console, save
from hosted.cases import Case, matrix, settings
from hosted.engines import Spoken, SpokenEngine
from hosted.fault_call import MAX_SILENCE_S, QUESTIONS, Finding, Surroundings, run_case
from rich.markup import escape
from rich.table import Table
from tests.servers import running_server
from tests.speech import synthesise

from voice_agent.dev_vendors.desk import Delays, Engines, VendorDesk
from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import RunningVendors, running_vendors
from voice_agent.models import Role
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.llm.base import LlmRequest
from voice_agent.providers.pool import ModelPool

VOICE = "joe"
# What hosted vendors usually take.
DELAYS = {
    Stage.ASR: Delays(first_s=0.15),
    Stage.LLM: Delays(first_s=0.3, gap_s=0.01),
    Stage.TTS: Delays(first_s=0.15, gap_s=0.005),
}
_QUIET_S = 1.5  # nothing was asked of the voice vendor for so long: the fixed phrases are prepared
_PREPARED_WITHIN_S = 60.0
_SERVER_SETTINGS = {"LOG_LEVEL": "WARNING", "LOCAL_MODEL_WORKERS": "2"}


def script(request: LlmRequest) -> str:
    """The scripted model's answer to the caller's newest words."""
    newest = next(message.text.lower() for message in reversed(request.messages) if message.role is Role.CALLER)
    return next((answer for _, word, answer in QUESTIONS if word in newest), "I am sorry, I do not know about that.")


async def run(cases: list[Case], at_once: int, folder: Path, *, keep: bool) -> list[Finding]:
    """Batches of ``at_once`` cases: their servers start together, their calls run together."""
    speech = {question: synthesise(question, VOICE, rate_hz=16_000)[0] for question, _, _ in QUESTIONS}
    template = await asyncio.to_thread(_template, folder / "template")
    findings: list[Finding] = []
    begun_s = time.monotonic()
    for start in range(0, len(cases), at_once):
        batch = cases[start : start + at_once]
        findings += await _batch(batch, folder / f"batch-{start}", template, speech)
        for finding in findings[-len(batch) :]:
            _show(finding)
        console.print(f"  {len(findings)} of {len(cases)} after {time.monotonic() - begun_s:.0f} s", style="dim")
        if not keep:
            shutil.rmtree(folder / f"batch-{start}")
    return findings


def _template(folder: Path) -> Path:
    """A state folder in which the knowledge base is built, so that not every server builds it again."""
    console.print("Building the knowledge base once ...", style="dim")
    with running_server(folder, _SERVER_SETTINGS) as server:
        return server.state_dir


async def _batch(batch: list[Case], folder: Path, template: Path, speech: Mapping[str, bytes]) -> list[Finding]:
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(ExitStack())
        places: list[Surroundings] = []
        for number, case in enumerate(batch):
            spoken = Spoken()
            pool = ModelPool(1)
            stack.push_async_callback(pool.close)
            engines = Engines(
                LocalRecognizerFactory(pool),  # loads nothing: the scripted engine hears instead
                ScriptedModel(script),
                ToneSynthesizer(),
                SpokenEngine(spoken),
            )
            vendors = await stack.enter_async_context(running_vendors(VendorDesk(engines)))
            home = folder / str(number)
            shutil.copytree(template, home / "state", ignore=shutil.ignore_patterns("calls", "*.lock"))
            starting = running_server(home, {**_SERVER_SETTINGS, **settings(case, vendors)})
            server = await asyncio.to_thread(servers.enter_context, starting)
            places.append(Surroundings(vendors, spoken, server))
        for place in places:
            await _phrases_prepared(place.vendors)
            place.vendors.desk.delays.update(DELAYS)
        findings = await asyncio.gather(
            *(run_case(case, place, speech) for case, place in zip(batch, places, strict=True))
        )
        await asyncio.to_thread(servers.close)
        return findings


async def _phrases_prepared(vendors: RunningVendors) -> None:
    """Waits until the voice vendor is asked nothing more: a new server has all its fixed phrases spoken."""
    loop = asyncio.get_running_loop()
    limit_s = loop.time() + _PREPARED_WITHIN_S
    count, since_s = -1, loop.time()
    while loop.time() - since_s < _QUIET_S and loop.time() < limit_s:
        asked = sum(entry.stage is Stage.TTS for entry in vendors.desk.journal.entries)
        if asked != count:
            count, since_s = asked, loop.time()
        await asyncio.sleep(0.1)


def _show(finding: Finding) -> None:
    verdict = "[green]ok  [/]" if finding.passed else "[bold red]FAIL[/]"
    waits = " ".join(f"{wait:.2f}" for wait in finding.first_waits_s)
    console.print(
        f"{verdict} {finding.case.name:<22} {finding.outcome:<20} worst {finding.worst_silence_s:.2f} s, waits {waits}; "
        f"{escape('; '.join(_counted(finding.switches)) or 'no failover')}"
    )
    for fault in finding.faults:
        console.print(f"       {fault}", markup=False)


def report(findings: list[Finding], seconds: float) -> int:
    table = Table(title="Vendors that fail in a call", title_justify="left")
    for column, justify in (
        ("stage", "left"),
        ("fault", "left"),
        ("call", "left"),
        ("worst silence s", "right"),
        ("failovers", "left"),
        ("fillers", "right"),
        ("", "left"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left", no_wrap=column != "failovers")
    for finding in findings:
        table.add_row(
            finding.case.stage,
            "all dead" if finding.case.dead else finding.case.fault,
            finding.outcome,
            f"{finding.worst_silence_s:.2f}",
            escape("\n".join(_counted(finding.switches))) or "-",
            str(finding.fillers),
            "[green]✓[/]" if finding.passed else "[bold red]✗[/]",
        )
    console.print(table)
    for finding in findings:
        for fault in finding.faults:
            console.print(f"{finding.case.name}: {fault}", markup=False)
    passed = sum(finding.passed for finding in findings)
    worst_s = max((finding.worst_silence_s for finding in findings), default=0.0)
    met = passed == len(findings)
    console.print(
        f"{passed} of {len(findings)} calls are as they should be; longest silence {worst_s:.2f} s "
        f"(limit {MAX_SILENCE_S:g} s); {seconds:.0f} s.",
        style="green" if met else "bold red",
    )
    save("hosted_faults", {"met": met, "seconds": round(seconds), "cases": [_record(finding) for finding in findings]})
    return 0 if met else 1


def _counted(switches: list[str]) -> list[str]:
    return [f"{count} x {switch}" if count > 1 else switch for switch, count in Counter(switches).items()]


def _record(finding: Finding) -> dict[str, Any]:
    return {
        "case": finding.case.name,
        "outcome": finding.outcome,
        "worst_silence_s": round(finding.worst_silence_s, 3),
        "first_waits_s": [round(wait, 3) for wait in finding.first_waits_s],
        "switches": finding.switches,
        "fillers": finding.fillers,
        "faults": finding.faults,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--stage", action="append", choices=[s.value for s in Stage], help="only these; may be repeated"
    )
    parser.add_argument(
        "--fault",
        action="append",
        choices=[*(fault.value for fault in Fault), "all_dead"],
        help="only these; may be repeated",
    )
    parser.add_argument("--at-once", type=int, default=3, help="calls at the same time (default 3, for two cores)")
    parser.add_argument("--keep", type=Path, help="a folder for the servers' logs and event logs, which are kept")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    stages = tuple(Stage(name) for name in args.stage or Stage)
    wanted = args.fault or [*Fault, "all_dead"]
    cases = matrix(stages, tuple(f for f in Fault if f in wanted), dead="all_dead" in wanted)
    begun_s = time.monotonic()
    console.print(f"{len(cases)} calls in real time, {args.at_once} at once ...", style="dim")
    with tempfile.TemporaryDirectory(prefix="voice-agent-bench-") as folder:
        findings = asyncio.run(run(cases, args.at_once, args.keep or Path(folder), keep=args.keep is not None))
    return report(findings, time.monotonic() - begun_s)


if __name__ == "__main__":
    sys.exit(main())
