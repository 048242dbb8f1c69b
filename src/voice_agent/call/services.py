"""What a live call works with: shared collaborators, and the limits every stage keeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from voice_agent.clock import Clock
from voice_agent.conversation.machine import MachineSettings
from voice_agent.observability.lateness import LatenessWindow
from voice_agent.providers.chain.language import LanguageModelChain
from voice_agent.providers.chain.recognition import RecognizerChain
from voice_agent.providers.tts.cache import CachingSynthesizer
from voice_agent.providers.turn.base import TurnModel
from voice_agent.providers.understanding.base import Understanding
from voice_agent.providers.vad.base import VoiceDetectorFactory
from voice_agent.providers.warmth import Warmth
from voice_agent.tools.registry import ToolRegistry
from voice_agent.tools.router import ToolRouter
from voice_agent.tools.second_factor import GuardedSecondFactor
from voice_agent.tools.transfer import Handover
from voice_agent.tools.verify_pin import PinVerifier


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Seconds, unless the name says otherwise.

    ``grounding``: the model's claims must be known (see ``conversation/grounding``). Providers have deadlines in their
    chains (``providers/chain``); those here are of the call's own helpers.
    """

    machine: MachineSettings = field(default_factory=MachineSettings)
    vad_threshold: float = 0.5
    speech_start_s: float = 0.064
    speech_stop_s: float = 0.16
    playout_lead_s: float = 0.08
    understanding_s: float = 1.0
    turn_model_s: float = 0.6
    max_tool_rounds: int = 4
    grounding: bool = True
    media_gap_s: float = 0.3


@dataclass(frozen=True, slots=True)
class CallServices:
    """Shared by all calls of a process; built once by the composition root. Without a ``second_factor`` the PIN alone proves
    a caller."""

    clock: Clock
    recognizers: RecognizerChain
    detectors: VoiceDetectorFactory
    turn_model: TurnModel
    understanding: Understanding
    language_model: LanguageModelChain
    synthesizer: CachingSynthesizer
    tools: ToolRegistry
    router: ToolRouter
    pins: PinVerifier
    handover: Handover
    settings: CallSettings
    second_factor: GuardedSecondFactor | None = None
    lateness: LatenessWindow = field(default_factory=LatenessWindow)
    warmth: Warmth = field(default_factory=Warmth)
