"""What the platform adds to hosted vendors' own delays, how fast it lets them go, and what speculation saves.

1. Overhead: stand-ins in a process of their own, scripted, with a set delay; their journal and our times are read from one
   clock. Out: our request to the vendor's receiving it. Back: the vendor's first result to our giving it to the call,
   through client and chain. Target: median at most 5 ms.
2. Barge-in: an answer under way is cancelled; when does the vendor see its client gone? Target: always within 50 ms.
3. Speculation: two servers, with and without it, the same spoken turns at the same time, hosted-like delays (first token
   350 ms, first audio 150 ms). Turns that are over for certain are committed with the recogniser's final and leave nothing
   to save; the target, 150 ms at the median, is for those that leave a wait.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import uvloop
from common import console, print_summaries, save, summary
from hosted.overhead import SENTENCE, Added, answers, cancellations, chains, finals
from hosted.speculation import WAITING, Waits, by_kind, compare
from hosted.vendor_process import Script, VendorProcess, vendor_process

from voice_agent.audio.frames import pcm_of
from voice_agent.dev_vendors.desk import Delays
from voice_agent.dev_vendors.faults import Stage
from voice_agent.providers.asr.base import SAMPLE_RATE_HZ

OVERHEAD_MS, SEEN_MS, SAVED_MS = 5.0, 50.0, 150.0
_FIRST_S = 0.05  # long enough that no answer is there before its request has been noted
VOICES = ("openai", "openai_realtime", "deepgram")
_TONE = pcm_of(0.3 * np.sin(2 * np.pi * 330 * np.arange(SAMPLE_RATE_HZ * 7 // 10) / SAMPLE_RATE_HZ))


def _setter(name: str, value: str) -> None:
    os.environ[name] = value


async def measure_overhead(vendors: VendorProcess, count: int) -> dict[str, Added]:
    rows: dict[str, Added] = {}
    for stage in Stage:
        vendors.set_delays(stage, Delays(first_s=_FIRST_S))
    for model in ("nova-3", "flux-general-en"):
        async with chains(vendors, _setter, ASR_MODEL=model) as built:
            rows[f"recognition: deepgram {model}"] = await finals(
                built, vendors, count, _TONE, judges_turns=model.startswith("flux")
            )
    async with chains(vendors, _setter) as built:
        rows["language model: openai"] = await answers(Stage.LLM, built, vendors, count)
    for voice in VOICES:
        async with chains(vendors, _setter, TTS_PROVIDER=voice) as built:
            rows[f"synthesis: {voice}"] = await answers(Stage.TTS, built, vendors, count)
    return rows


async def measure_cancellations(vendors: VendorProcess, count: int) -> dict[str, list[float]]:
    rows: dict[str, list[float]] = {}
    vendors.set_delays(Stage.LLM, Delays(first_s=_FIRST_S, gap_s=0.03))
    vendors.set_delays(Stage.TTS, Delays(first_s=_FIRST_S, gap_s=0.05))
    async with chains(vendors, _setter) as built:
        rows["language model: openai"] = await cancellations(Stage.LLM, built, vendors, count)
    for voice in VOICES:
        async with chains(vendors, _setter, TTS_PROVIDER=voice) as built:
            rows[f"synthesis: {voice}"] = await cancellations(Stage.TTS, built, vendors, count)
    return rows


def report_overhead(rows: dict[str, Added]) -> bool:
    print_summaries("Overhead, back: vendor's first result to the call", {n: a.back_ms for n, a in rows.items()})
    print_summaries("Overhead, out: request to vendor", {n: a.out_ms for n, a in rows.items() if a.out_ms})
    ways = [values for added in rows.values() for values in (added.back_ms, added.out_ms) if values]
    met = all(added.back_ms for added in rows.values()) and all(summary(way)["median"] <= OVERHEAD_MS for way in ways)
    return _verdict(f"median at most {OVERHEAD_MS:g} ms, each way", met)


def report_cancellations(rows: dict[str, list[float]]) -> bool:
    print_summaries("Barge-in: cancelled by us to seen by the vendor", rows)
    return _verdict(f"at most {SEEN_MS:g} ms, always", all(max(values) < SEEN_MS for values in rows.values()))


def report_speculation(pairs: Sequence[tuple[Waits, Waits]]) -> bool:
    rows: dict[str, list[float]] = {}
    for off, on in pairs:
        for kind, (without, speculating) in by_kind(off, on).items():
            rows[f"{off.name}, {kind}: off"] = without
            rows[f"{off.name}, {kind}: on"] = speculating
    print_summaries("Voice to voice, speculation off and on", rows)
    parts: dict[str, list[float]] = {}
    for waits in (each for pair in pairs for each in pair):
        for part, values in waits.parts_ms.items():
            parts[f"{waits.name}, speculation {'on' if waits.speculates else 'off'}: {part}"] = values
    print_summaries("Where the time goes (the server's account)", parts)
    met = True
    for off, on in pairs:
        for kind, (without, speculating) in by_kind(off, on).items():
            saved_ms = float(np.median(np.subtract(without, speculating))) if without else 0.0
            console.print(
                f"{off.name}, {kind}: {saved_ms:.0f} ms sooner with speculation (median of {len(without)} turns)"
            )
            met = met and (kind != WAITING or saved_ms >= SAVED_MS)
        console.print(f"{off.name}: {on.wasted} of {on.drafts} drafts were thrown away", style="dim")
    return _verdict(f"at least {SAVED_MS:g} ms sooner where a turn leaves a wait", met)


def _verdict(target: str, met: bool) -> bool:
    console.print(f"Target ({target}): {'met' if met else 'MISSED'}", style="green" if met else "bold red")
    return met


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=40, help="per stage and provider (default 40)")
    parser.add_argument("--rounds", type=int, default=3, help="of the spoken script, per recogniser (default 3)")
    parser.add_argument("--only", choices=("overhead", "barge-in", "speculation"), action="append", default=[])
    return parser.parse_args()


def main() -> int:
    args = arguments()
    wanted = args.only or ["overhead", "barge-in", "speculation"]
    result: dict[str, Any] = {}
    met: list[bool] = []
    with vendor_process(Script(("we have ordered a tent",), SENTENCE, {stage: Delays() for stage in Stage})) as vendors:
        if "overhead" in wanted:
            console.print(f"Overhead of {args.requests} requests each ...", style="dim")
            added = uvloop.run(measure_overhead(vendors, args.requests))
            met.append(report_overhead(added))
            result["overhead_ms"] = {
                name: {"back": summary(each.back_ms), "out": summary(each.out_ms)} for name, each in added.items()
            }
        if "barge-in" in wanted:
            console.print("Cancelling answers ...", style="dim")
            seen = uvloop.run(measure_cancellations(vendors, max(30, args.requests)))
            met.append(report_cancellations(seen))
            result["cancellation_ms"] = {name: summary(values) for name, values in seen.items()}
    if "speculation" in wanted:
        console.print("Speaking to servers with and without speculation, in real time ...", style="dim")
        pairs = asyncio.run(compare(args.rounds))
        met.append(report_speculation(pairs))
        result["speculation"] = [each.record() for pair in pairs for each in pair]
    save("hosted_overhead", {**result, "met": all(met)})
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
