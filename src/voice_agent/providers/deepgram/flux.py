"""The v2 listening API (flux models): the vendor judges turns itself. There is no ``Finalize`` and no ``KeepAlive``.

The vendor's turn is not our utterance: an utterance that goes on after an ``EndOfTurn`` (the caller reads out a number in
two goes) is joined from several turns. ``ForceEndTurn`` is not used: a pause that we ask a final for is not yet the end of
a turn, and to say so would take the vendor's judgement away.

Source: https://developers.deepgram.com/reference/speech-to-text/listen-flux and https://developers.deepgram.com/docs/flux/state
"""

from __future__ import annotations

from typing import Any, Final

from voice_agent.config import DeepgramSettings
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.asr.base import SAMPLE_RATE_HZ
from voice_agent.providers.deepgram.audio_ring import BYTES_PER_S
from voice_agent.providers.deepgram.connection import Params, parsed, said_error
from voice_agent.providers.deepgram.listening import Gives, Heard
from voice_agent.providers.deepgram.nova import hinted
from voice_agent.providers.deepgram.transcript import HeardWord, Segment

ENGLISH_MODEL: Final = "flux-general-en"
MULTILINGUAL_MODEL: Final = "flux-general-multi"
# Of audio in which nothing was heard, this much may still turn out to hold the beginning of a word.
_UNSURE_S: Final = 1.0
_ONSET_S: Final = 0.5  # speech began about this long before the vendor says StartOfTurn
_GIVES: Final = {
    "Update": Gives.WORDS,
    "StartOfTurn": Gives.WORDS,
    "EagerEndOfTurn": Gives.FINAL,
    "TurnResumed": Gives.RESUMED,
    "EndOfTurn": Gives.TURN_END,
}


class FluxApi:
    """``Api`` for ``/v2/listen``."""

    path = "/v2/listen"
    chunk_bytes = piece_bytes = BYTES_PER_S * 8 // 100  # the vendor strongly advises 80 ms
    finalize = ""
    keep_alive = ""
    farewell = '{"type":"CloseStream"}'

    def __init__(self, settings: DeepgramSettings, *, model: str, locale: str, hints: tuple[str, ...]) -> None:
        language = locale.replace("_", "-").partition("-")[0]
        self.params: Params = (
            ("model", model),
            ("encoding", "linear16"),
            ("sample_rate", str(SAMPLE_RATE_HZ)),
            ("eot_threshold", str(settings.eot_threshold)),
            ("eager_eot_threshold", str(min(settings.eager_eot_threshold, settings.eot_threshold))),
            ("eot_timeout_ms", str(settings.eot_timeout_ms)),
            *((("language_hint", language),) if model == MULTILINGUAL_MODEL else ()),
            *((("numerals", "true"),) if settings.smart_format else ()),
            *hinted("keyterm", hints),
            *((("mip_opt_out", "true"),) if settings.mip_opt_out else ()),
        )
        self._turn_start_s = -1.0  # on the connection's time; negative: no turn goes on

    def opened(self) -> None:
        self._turn_start_s = -1.0

    def read(self, message: bytes | str, origin_s: float) -> Heard | None:
        """``TurnInfo`` says something about speech; ``Error`` raises; an event that is not known is an ``Update``."""
        answer = parsed(message)
        try:
            match answer.get("type"):
                case "TurnInfo":
                    return self._turn(answer, origin_s)
                case "Error":
                    raise said_error(answer)
                case _:
                    return None
        except (KeyError, TypeError, AttributeError, ValueError) as wrong:
            raise ProviderError(
                f"Deepgram's {answer.get('type')!r:.40} message lacks what it should have: {type(wrong).__name__}",
                category=ProviderFault.PROTOCOL,
            ) from None

    def _turn(self, answer: dict[str, Any], origin_s: float) -> Heard:
        event, text = answer["event"], answer["transcript"].strip()
        window_s, end_s = answer["audio_window_start"], answer["audio_window_end"]
        if self._turn_start_s < 0 and (event == "StartOfTurn" or text):
            self._turn_start_s = max(window_s, end_s - _ONSET_S)
        heard_s = origin_s + end_s
        if not text and event == "Update":
            # Nothing was said so far: all but the newest of it need not be heard again.
            if self._turn_start_s < 0:
                return Heard(heard_s, Segment(heard_s, max(0.0, heard_s - _UNSURE_S)), settled=True)
            return Heard(heard_s)
        start_s = self._turn_start_s if self._turn_start_s >= 0 else window_s
        segment = Segment(origin_s + start_s, heard_s, text, _words(answer["words"], start_s, end_s, origin_s))
        gives = _GIVES.get(event, Gives.WORDS)
        if gives is Gives.TURN_END:
            self._turn_start_s = -1.0
        return Heard(heard_s, segment, gives is Gives.TURN_END, gives)


def _words(words: list[dict[str, Any]], start_s: float, end_s: float, origin_s: float) -> list[HeardWord]:
    """Words with their times; where a server does not tell them (they came later than the API), evenly spread."""
    step_s = (end_s - start_s) / len(words) if words else 0.0
    told: list[HeardWord] = []
    for index, word in enumerate(words):
        at_s, to_s = word.get("start"), word.get("end")
        if at_s is None or to_s is None:
            at_s, to_s = start_s + index * step_s, start_s + (index + 1) * step_s
        # adding nothing refuses what is not of the right type
        told.append((word["word"] + "", origin_s + at_s, origin_s + to_s, word["confidence"] + 0.0))
    return told
