"""The fault matrix: which stage fails how, from when on, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from voice_agent.dev_vendors.faults import Fault, Stage
from voice_agent.dev_vendors.server import RunningVendors


class Begin(Enum):
    """When the fault is switched on; it stays on."""

    CALL = "call"  # before the call begins
    TURN = "turn"  # before the caller's second question
    WORDS = "words"  # while the caller says it


@dataclass(frozen=True)
class Case:
    """``dead``: nobody else serves the stage. ``must_switch``: another provider has to take over; otherwise the vendor's
    own connection may be opened again unnoticed, or nothing is lost."""

    stage: Stage
    fault: Fault
    begin: Begin
    dead: bool = False
    must_switch: bool = True

    @property
    def name(self) -> str:
        return f"{self.stage}: all dead" if self.dead else f"{self.stage}: {self.fault}"


# A recogniser's session is opened when the call begins, so these show themselves only then.
_AT_THE_DOOR = frozenset(
    {Fault.HANG_CONNECT, Fault.TLS, Fault.UNAUTHORIZED, Fault.RATE_LIMITED, Fault.QUOTA, Fault.SERVER_ERROR}
)
# What a recogniser survives by itself, if the next connection gets far enough; and speech that is whole anyway.
_MAY_PASS = frozenset(
    {
        (Stage.ASR, Fault.RECYCLED),
        (Stage.ASR, Fault.RESET),
        (Stage.ASR, Fault.HALF_FRAME),
        (Stage.TTS, Fault.RECYCLED),
    }
)
FALLBACKS = {Stage.ASR: "local", Stage.LLM: "builtin", Stage.TTS: "local"}
HOSTED = {Stage.ASR: "deepgram", Stage.LLM: "openai", Stage.TTS: "openai"}


def matrix(stages: tuple[Stage, ...], faults: tuple[Fault, ...], *, dead: bool) -> list[Case]:
    """The cases of these stages and faults; ``dead`` adds a row per stage where nobody serves it."""
    cases: list[Case] = []
    for stage in stages:
        for fault in faults:
            begin = Begin.TURN
            if stage is Stage.ASR:
                begin = Begin.CALL if fault in _AT_THE_DOOR else Begin.WORDS
            cases.append(Case(stage, fault, begin, must_switch=(stage, fault) not in _MAY_PASS))
        if dead:
            begin = Begin.WORDS if stage is Stage.ASR else Begin.TURN
            cases.append(Case(stage, Fault.REFUSED, begin, dead=True))
    return cases


def settings(case: Case, vendors: RunningVendors) -> dict[str, str]:
    """The platform's, so that the failing stage stands on a line of its own and the other stages' vendors are well."""
    chains = {
        stage: HOSTED[stage] if case.dead and stage is case.stage else f"{HOSTED[stage]},{FALLBACKS[stage]}"
        for stage in Stage
    }
    # One OpenAI account has one address, so the stage beside it is served by the same API elsewhere.
    ours, other = (Stage.TTS, Stage.LLM) if case.stage is Stage.TTS else (Stage.LLM, Stage.TTS)
    chains[other] = chains[other].replace("openai", "compatible")
    return {
        **{f"{stage.upper()}_PROVIDER": chain for stage, chain in chains.items()},
        "DEEPGRAM_URL": vendors.url(Stage.ASR),
        "DEEPGRAM_API_KEY": vendors.desk.key,
        "OPENAI_BASE_URL": f"{vendors.url(ours)}/v1",
        "OPENAI_API_KEY": vendors.desk.key,
        "COMPATIBLE_BASE_URL": f"{vendors.url(other)}/v1",
        "COMPATIBLE_API_KEY": vendors.desk.key,
    }
