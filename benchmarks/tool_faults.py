"""The shop behind the tools fails: in spoken calls, and under fifty calls at once.

**Spoken.** Real-time calls over the WebSocket to a real server (local recogniser, local voice; the language model is a
stand-in that speaks OpenAI's protocol) whose order system is a process of its own, with faults that can be switched. Each
fault meets a tool that reads and one that changes something, in the middle of a call. A case passes where the caller hears
(by a recogniser) once what is true of it: the answer, the tool's fallback, or that nobody knows whether the change was made;
where no silence is longer than 2 s; where the next question is answered, and the same wish when the shop is well; where the
change was made once by the shop's own books; and where the failure was counted once.

**Fifty at once.** Calls by text (``evaluation/text_call.py``) through one router against a shop over HTTP: the breaker
opens, lets one probe through, closes; two hundred calls change something under random faults.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import console, save
from rich.markup import escape
from rich.table import Table
from shop.cases import CASES, DOWN, ENDPOINTS, READ, WRITE, Case
from shop.crowd import Report, crowd
from shop.crowd_asks import breaker
from shop.crowd_writes import pace, writes
from shop.process import ShopProcess
from shop.spoken import ASIDE, MAX_SILENCE_S, VOICE, WISHES, YES, Finding, Surroundings, run_call, script
from tests.servers import running_server
from tests.speech import synthesise

from voice_agent.dev_vendors.desk import Delays, Engines, VendorDesk
from voice_agent.dev_vendors.faults import Stage
from voice_agent.dev_vendors.scripted import ScriptedModel, ToneSynthesizer
from voice_agent.dev_vendors.server import running_vendors
from voice_agent.observability.logging import configure_logging
from voice_agent.providers.asr.local import LocalRecognizerFactory
from voice_agent.providers.pool import ModelPool

_CASES_A_CALL = 4
_PREPARED_S = 20.0  # a new server has its fixed phrases spoken
_PATIENT_MS = 30_000  # where the shop's own time is measured
_MODEL_DELAYS = Delays(first_s=0.3, gap_s=0.01)


async def spoken(cases: list[Case], folder: Path) -> list[Finding]:
    """What reads and what writes meet their faults side by side; a shop that is down is down for both."""
    speech = {text: synthesise(text, VOICE, rate_hz=16_000)[0] for text in (*WISHES.values(), YES, ASIDE)}
    pool = ModelPool(1)
    # It hears and says nothing: only the language model of these vendors is asked.
    engines = Engines(LocalRecognizerFactory(pool), ScriptedModel(script), ToneSynthesizer())
    findings: list[Finding] = []
    shop = ShopProcess(folder / "shop")
    try:
        async with running_vendors(VendorDesk(engines, delays={**_no_delays(), Stage.LLM: _MODEL_DELAYS})) as vendors:
            await asyncio.to_thread(shop.start)
            settings = {
                "LLM_PROVIDER": "openai",
                "OPENAI_BASE_URL": vendors.openai_base_url,
                "OPENAI_API_KEY": vendors.desk.key,
                "SHOP_API_URL": shop.url,
                "SHOP_API_TOKEN": shop.token,
                "LOG_LEVEL": "WARNING",
            }
            starting = running_server(folder / "server", settings)
            server = await asyncio.to_thread(starting.__enter__)
            try:
                await asyncio.sleep(_PREPARED_S)
                place = Surroundings(server, shop, speech)
                apart = ([c for c in cases if c.fault != DOWN and c.tool == tool] for tool in ENDPOINTS)
                for found in await asyncio.gather(*(_calls(part, place) for part in apart)):
                    findings += found
                findings += await _calls([case for case in cases if case.fault == DOWN], place)
            finally:
                await asyncio.to_thread(starting.__exit__, None, None, None)
    finally:
        await asyncio.to_thread(shop.stop)
        await pool.close()
    return findings


async def _calls(cases: list[Case], place: Surroundings) -> list[Finding]:
    """Calls one after another; prints their cases."""
    findings: list[Finding] = []
    for start in range(0, len(cases), _CASES_A_CALL):
        findings += await run_call(cases[start : start + _CASES_A_CALL], place)
        for finding in findings[start:]:
            _show(finding)
    return findings


def _no_delays() -> dict[Stage, Delays]:
    return {stage: Delays() for stage in Stage}


def _show(finding: Finding) -> None:
    verdict = "[green]ok  [/]" if not finding.wrong else "[bold red]FAIL[/]"
    console.print(
        f"{verdict} {finding.case.name:<34} told {finding.told:<9} worst silence {finding.worst_silence_s:.2f} s, "
        f"{finding.fillers} fillers; {escape(finding.heard)}"
    )
    for wrong in finding.wrong:
        console.print(f"       {wrong}", markup=False)


async def fifty(writing_calls: int, folder: Path) -> Report:
    report = Report()
    async with crowd(folder) as place:
        await breaker(place, report)
        await writes(place, report, writing_calls)
    async with crowd(folder / "pace", request_ms=_PATIENT_MS) as place:
        await pace(place, report)
    return report


def show_spoken(findings: list[Finding]) -> bool:
    table = Table(title="The shop fails in a spoken call", title_justify="left")
    for column in ("tool", "fault", "told", "made", "worst silence s", "fillers", ""):
        table.add_column(column, justify="right" if column in ("made", "worst silence s", "fillers") else "left")
    for finding in findings:
        tool, fault = finding.case.name.split(": ")
        made = str(finding.made) if tool == WRITE else "-"
        table.add_row(
            *(tool, fault, finding.told, made, f"{finding.worst_silence_s:.2f}", str(finding.fillers)),
            "[bold red]✗[/]" if finding.wrong else "[green]✓[/]",
        )
    console.print(table)
    right = sum(not finding.wrong for finding in findings)
    worst_s = max((finding.worst_silence_s for finding in findings), default=0.0)
    console.print(
        f"{right} of {len(findings)} cases are as they should be; longest silence {worst_s:.2f} s "
        f"(limit {MAX_SILENCE_S:g} s).",
        style="green" if right == len(findings) else "bold red",
    )
    return right == len(findings)


def show_fifty(report: Report) -> bool:
    table = Table(title="Fifty calls at once while the shop fails", title_justify="left")
    table.add_column("what")
    table.add_column("figure", justify="right")
    table.add_column("")
    for what, figure, right in report.rows:
        table.add_row(escape(what), escape(figure), "[green]✓[/]" if right else "[bold red]✗[/]")
    console.print(table)
    right = sum(row[2] for row in report.rows)
    met = right == len(report.rows)
    console.print(f"{right} of {len(report.rows)} figures are as they should be.", style="green" if met else "bold red")
    return met


def _record(finding: Finding) -> dict[str, Any]:
    return {
        "case": finding.case.name,
        "told": finding.told,
        "heard": finding.heard,
        "made": finding.made,
        "worst_silence_s": round(finding.worst_silence_s, 3),
        "fillers": finding.fillers,
        "wrong": finding.wrong,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("spoken", "fifty"), help="only this one")
    parser.add_argument("--tool", choices=(READ, WRITE), help="spoken: only this one")
    parser.add_argument("--fault", action="append", help="spoken: only these; may be repeated")
    parser.add_argument("--calls", type=int, default=200, help="fifty: calls that change something (default 200)")
    parser.add_argument("--keep", type=Path, help="a folder for the server's logs, which is kept")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    cases = [c for c in CASES if args.tool in (None, c.tool) and (args.fault is None or c.fault in args.fault)]
    begun_s, met, result = time.monotonic(), True, {}
    pipeline = configure_logging("CRITICAL")  # the shop's faults end connections, which its HTTP server complains of
    try:
        with tempfile.TemporaryDirectory(prefix="voice-agent-bench-") as folder:
            place = args.keep or Path(folder)
            if args.part in (None, "spoken"):
                console.print(f"{len(cases)} cases in real time ...", style="dim")
                findings = asyncio.run(spoken(cases, place))
                met = show_spoken(findings)
                result["spoken"] = [_record(finding) for finding in findings]
            if args.part in (None, "fifty"):
                report = asyncio.run(fifty(args.calls, place / "fifty"))
                met = show_fifty(report) and met
                result["fifty"] = [[what, figure, right] for what, figure, right in report.rows]
    finally:
        pipeline.stop()
    seconds = round(time.monotonic() - begun_s)
    console.print(
        f"{'As it should be' if met else 'Not as it should be'}; {seconds} s.", style="green" if met else "bold red"
    )
    save("tool_faults", {"met": met, "seconds": seconds, **result})
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
