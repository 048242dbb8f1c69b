"""Tries every configured provider of every chain for real: is it reached, does it let us in, how soon is its first result?

Each gets one small request of its stage, past chain, breaker and cache: a sentence to say, a recording to hear, a greeting
to answer. On a hosted provider this costs a fraction of a cent.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, cast

from voice_agent.audio.resample import resampled
from voice_agent.clock import process_seconds
from voice_agent.config import Settings
from voice_agent.conversation.locales import resolve_locale
from voice_agent.errors import ConfigError, ProviderError, ProviderFault, VoiceAgentError
from voice_agent.evaluation.caller_audio import read_wav
from voice_agent.models import Message, Role, UtteranceId
from voice_agent.providers import weights
from voice_agent.providers.asr.base import SAMPLE_RATE_HZ, AsrEvent, RecognizerFactory
from voice_agent.providers.asr.base import Final as FinalTranscript
from voice_agent.providers.llm.base import LanguageModel, LlmRequest, TextDelta, ToolCallRequested
from voice_agent.providers.registry import Kind, ProviderContext, build_provider
from voice_agent.providers.tts.base import SpeechSynthesizer

# Loading local weights from a cold disk takes seconds; a vendor that takes so long is of no use on the telephone.
_WARM_LIMIT_S: Final = 30.0
_TRIAL_LIMIT_S: Final = 6.0
_SENTENCE: Final = "Hello, this is a test of the line."
_SPOKEN_S: Final = 3.0  # of the recording
_PIECE_S: Final = 0.1

_STAGES: Final[dict[Kind, str]] = {"tts": "synthesis", "asr": "recognition", "llm": "language model"}
_LOCAL: Final = frozenset({"local", "builtin"})

_WHAT_TO_DO: Final = {
    ProviderFault.AUTH: "Check the API key, and that its project may use this model.",
    ProviderFault.QUOTA: "Top up the account, or raise its limit.",
    ProviderFault.RATE: "Try again in a minute; ask the vendor for a higher limit if calls meet this too.",
    ProviderFault.NETWORK: "Check the address in the settings, DNS, firewall and proxy.",
    ProviderFault.TIMEOUT: "Check the address, and that the server is not overloaded; *_CONNECT_MS may be too short.",
    ProviderFault.PROTOCOL: "Check that the address leads to this kind of API, and the model's name.",
    ProviderFault.EMPTY: "Check the model and the voice: they must know the language of the calls.",
    ProviderFault.INTERNAL: "See the log: this looks like a defect.",
}
_UNREACHED: Final = frozenset({ProviderFault.NETWORK, ProviderFault.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Trial:
    """One provider's row. ``reachable``, ``authorised``: ``None`` where that is not known, or there is nothing to reach.
    ``first_s``: seconds to the first result; ``detail`` says what came, or what is wrong and what to do."""

    stage: str
    provider: str
    reachable: bool | None
    authorised: bool | None
    first_s: float | None
    detail: str

    @property
    def ok(self) -> bool:
        return self.first_s is not None


async def try_providers(settings: Settings, context: ProviderContext) -> list[Trial]:
    """One row per provider, stage by stage. Takes a few seconds each; nothing is left open."""
    spoken = _Spoken()
    rows: list[Trial] = []
    chains: tuple[tuple[Kind, tuple[str, ...]], ...] = (
        ("tts", settings.tts.provider),
        ("asr", settings.asr.provider),
        ("llm", settings.llm.provider),
    )
    for kind, names in chains:
        for name in names:
            rows.append(await _try(kind, name, settings, context, spoken))
    return rows


async def _try(kind: Kind, name: str, settings: Settings, context: ProviderContext, spoken: _Spoken) -> Trial:
    stage, is_local = _STAGES[kind], name in _LOCAL
    locale = resolve_locale(settings.asr.language).tag
    try:
        provider = build_provider(kind, name, context)
        async with asyncio.timeout(_WARM_LIMIT_S):
            await provider.warm_up()
        async with asyncio.timeout(_TRIAL_LIMIT_S):
            if kind == "tts":
                first_s, detail = await _say(provider, locale, spoken)
            elif kind == "asr":
                first_s, detail = await _hear(provider, locale, spoken)
            else:
                first_s, detail = await _answer(provider, locale)
    except ProviderError as error:
        reached = None if is_local else error.category not in _UNREACHED
        authorised = None if is_local or not reached else error.category is not ProviderFault.AUTH
        advised = is_local or "check " in str(error).lower()  # the provider's own file knows best what to look at
        advice = "" if advised else " " + _WHAT_TO_DO[error.category]
        return Trial(
            stage, name, reached, authorised, None, f"{error}{'' if str(error).endswith('.') else '.'}{advice}"
        )
    except TimeoutError:
        what = f"No result within {_TRIAL_LIMIT_S:.0f} s. {_WHAT_TO_DO[ProviderFault.TIMEOUT]}"
        return Trial(stage, name, None, None, None, what)
    except (VoiceAgentError, OSError) as error:
        return Trial(stage, name, None, None, None, str(error))
    known = None if is_local else True
    return Trial(stage, name, known, known, first_s, detail)


class _Spoken:
    """Speech for recognisers to hear: a recording that comes with the local models, or what a synthesiser said just now."""

    def __init__(self) -> None:
        self._synthesised = b""

    def keep(self, pcm: bytes, rate_hz: int) -> None:
        self._synthesised = self._synthesised or resampled(pcm, rate_hz, SAMPLE_RATE_HZ)

    def pcm(self) -> bytes:
        """16-bit mono PCM at 16 kHz. Raises ``ConfigError`` where there is none."""
        try:
            path = weights.package_file("moonshine_voice", "assets/beckett.wav")
            return read_wav(path, SAMPLE_RATE_HZ)[: round(_SPOKEN_S * SAMPLE_RATE_HZ) * 2]
        except ConfigError:
            if not self._synthesised:
                raise ConfigError("There is no speech to hear: no synthesiser works, no recording is here.") from None
            return self._synthesised


async def _say(synthesizer: SpeechSynthesizer, locale: str, spoken: _Spoken) -> tuple[float, str]:
    begun_s = process_seconds()
    first_s = None
    audio: list[bytes] = []
    async with aclosing(cast(Any, synthesizer.synthesize(_SENTENCE, locale=locale))) as chunks:
        async for chunk in chunks:
            first_s = first_s or process_seconds() - begun_s
            audio.append(chunk)
    if first_s is None:
        raise ProviderError("There was no audio", category=ProviderFault.EMPTY)
    pcm = b"".join(audio)
    spoken.keep(pcm, synthesizer.sample_rate_hz)
    return first_s, f"{len(pcm) / 2 / synthesizer.sample_rate_hz:.1f} s of audio for {_SENTENCE!r}"


async def _hear(recognizers: RecognizerFactory, locale: str, spoken: _Spoken) -> tuple[float, str]:
    """Speaks at the pace of speech, as a caller does; the latency is that from the end of it to the final transcript."""
    pcm = await asyncio.to_thread(spoken.pcm)
    async with recognizers.open(locale=locale, hints=()) as recognizer:
        asked = asyncio.Event()
        final = asyncio.create_task(_final_after(asked, recognizer.events()), name="check-recognition")
        try:
            recognizer.begin(UtteranceId(1))
            piece_bytes = round(_PIECE_S * SAMPLE_RATE_HZ) * 2
            for at in range(0, len(pcm), piece_bytes):
                recognizer.push(pcm[at : at + piece_bytes])
                await asyncio.wait({final}, timeout=_PIECE_S)
                if final.done():  # it failed
                    break
            asked_s = process_seconds()
            asked.set()
            recognizer.finalize()
            text = await final
        finally:
            final.cancel()
            await asyncio.wait({final})
    if not text:
        raise ProviderError("Nothing was heard in a recording of speech", category=ProviderFault.EMPTY)
    return process_seconds() - asked_s, f"heard {text!r}"


async def _final_after(asked: asyncio.Event, events: AsyncIterator[AsrEvent]) -> str:
    async for event in events:
        if isinstance(event, FinalTranscript) and asked.is_set():
            return event.text
    raise ProviderError("Recognition ended without a transcript", category=ProviderFault.PROTOCOL)


async def _answer(model: LanguageModel, locale: str) -> tuple[float, str]:
    request = LlmRequest(
        (
            Message(Role.SYSTEM, "You are a support agent on the telephone. Answer in one short sentence."),
            Message(Role.CALLER, "Hello, what can you do for me?"),
        ),
        locale=locale,
    )
    begun_s = process_seconds()
    first_s = None
    text = ""
    async with aclosing(cast(Any, model.stream(request))) as events:
        async for event in events:
            if isinstance(event, TextDelta | ToolCallRequested):
                first_s = first_s or process_seconds() - begun_s
            if isinstance(event, TextDelta):
                text += event.text
    if first_s is None:
        raise ProviderError("There was no text", category=ProviderFault.EMPTY)
    return first_s, f"answered {text.strip()[:60]!r}"
