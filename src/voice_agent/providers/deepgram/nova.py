"""The v1 listening API (nova and older models): segments that are guessed, then final; pauses told by the vendor.

Source: https://developers.deepgram.com/reference/speech-to-text/listen-streaming and the pages on interim results,
endpointing, utterance end, finalize and keep-alive.
"""

from __future__ import annotations

from typing import Any, Final

from voice_agent.config import DeepgramSettings
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.asr.base import SAMPLE_RATE_HZ
from voice_agent.providers.deepgram.audio_ring import BYTES_PER_S
from voice_agent.providers.deepgram.connection import Params, parsed, said_error
from voice_agent.providers.deepgram.listening import Gives, Heard
from voice_agent.providers.deepgram.transcript import Segment

DEFAULT_MODEL: Final = "nova-3"
# Regional codes that the API knows; of any other locale only the language is asked for ("es-ES" would be refused).
_REGIONS: Final = frozenset(
    "en-US en-GB en-AU en-NZ en-IN es-419 fr-CA de-CH pt-BR pt-PT nl-BE da-DK sv-SE ko-KR th-TH zh-CN zh-TW zh-HK".split()
)
# Keyterms may have 500 tokens together (more stops the transcription), and help best when they are few.
_TERMS_MAX: Final = 50
_TERMS_BYTES: Final = 800
_TERM_BYTES: Final = 80


class NovaApi:
    """``Api`` for ``/v1/listen``."""

    path = "/v1/listen"
    chunk_bytes = BYTES_PER_S // 25  # 40 ms
    piece_bytes = BYTES_PER_S // 4  # the vendor advises 20 to 250 ms
    finalize = '{"type":"Finalize"}'
    keep_alive = '{"type":"KeepAlive"}'
    farewell = '{"type":"CloseStream"}'

    def __init__(self, settings: DeepgramSettings, *, model: str, locale: str, hints: tuple[str, ...]) -> None:
        format_ = "true" if settings.smart_format else "false"
        self.params: Params = (
            ("model", model),
            ("language", language_of(locale)),
            ("encoding", "linear16"),
            ("sample_rate", str(SAMPLE_RATE_HZ)),
            ("channels", "1"),
            ("interim_results", "true"),
            ("smart_format", format_),
            ("punctuate", "true"),
            ("vad_events", "true"),
            ("endpointing", str(settings.endpointing_ms)),
            ("utterance_end_ms", str(settings.utterance_end_ms)),
            *(hinted("keyterm", hints) if model.startswith("nova-3") else _keywords(hints)),
            *((("mip_opt_out", "true"),) if settings.mip_opt_out else ()),
        )

    def opened(self) -> None:
        """Every message stands for itself."""

    def read(self, message: bytes | str, origin_s: float) -> Heard | None:
        """``Results`` and ``UtteranceEnd`` say something about speech; ``Error`` raises; the rest is news of no use here
        (``SpeechStarted``: our own detector is nearer to the caller)."""
        answer = parsed(message)
        try:
            match answer.get("type"):
                case "Results":
                    return _results(answer, origin_s)
                case "UtteranceEnd":
                    return Heard(0.0, gives=Gives.FINAL)
                case "Error":
                    raise said_error(answer)
                case _:
                    return None
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as wrong:
            raise ProviderError(
                f"Deepgram's {answer.get('type')!r:.40} message lacks what it should have: {type(wrong).__name__}",
                category=ProviderFault.PROTOCOL,
            ) from None


def _results(answer: dict[str, Any], origin_s: float) -> Heard:
    start_s = origin_s + answer["start"]
    end_s = start_s + answer["duration"]
    best = answer["channel"]["alternatives"][0]
    words = [
        (  # adding nothing refuses what is not of the right type
            (word.get("punctuated_word") or word["word"]) + "",
            origin_s + word["start"],
            origin_s + word["end"],
            word["confidence"] + 0.0,
        )
        for word in best["words"]
    ]
    text = best["transcript"].strip()
    settled = answer.get("is_final", False)
    gives = Gives.FINAL if settled and answer.get("speech_final", False) else Gives.WORDS
    return Heard(end_s, Segment(start_s, end_s, text, words), settled, gives, answer.get("from_finalize") is True)


def language_of(locale: str) -> str:
    """The API's language code for a locale: "en-US" as it is, "es-ES" as "es"."""
    return locale if locale in _REGIONS else locale.replace("_", "-").partition("-")[0]


def hinted(name: str, hints: tuple[str, ...]) -> Params:
    """Hints as parameters, the first ones first, as many as the vendor's limit surely admits."""
    left_bytes = _TERMS_BYTES
    terms: list[tuple[str, str]] = []
    for hint in dict.fromkeys(" ".join(hint.split()) for hint in hints):
        size = len(hint.encode())
        if 0 < size <= min(_TERM_BYTES, left_bytes) and len(terms) < _TERMS_MAX:
            terms.append((name, hint))
            left_bytes -= size
    return tuple(terms)


def _keywords(hints: tuple[str, ...]) -> Params:
    """Older models take single words only."""
    return hinted("keywords", tuple(hint for hint in hints if len(hint.split()) == 1))
