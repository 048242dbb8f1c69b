"""Deepgram's ``/v1/listen``: interim results, finals by segment, ``speech_final`` by silence, ``UtteranceEnd``.

Rules (developers.deepgram.com: endpointing, interim-results, understanding-end-of-speech, finalize, audio-keep-alive):

1. Finals tile the stream: each starts where the one before it ended. A segment ends at ``endpointing`` milliseconds of
   silence (``speech_final``), at ``Finalize`` (``from_finalize``), or, in long speech, at a gap between words.
2. ``UtteranceEnd`` comes once for an utterance, ``utterance_end_ms`` after its last word, behind its last final.
3. Where nothing is said an empty final comes every five seconds.
4. ``CloseStream`` (or an empty audio message) is answered with the rest, ``Metadata``, and close code 1000.
5. A text message that is no known one is answered with an ``Error`` of the variant ``SchemaError``; the session lives on.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from voice_agent.dev_vendors.deepgram_door import Line, Query, RefusedError, audio_format, now_s
from voice_agent.dev_vendors.deepgram_engine import Ear, Take
from voice_agent.dev_vendors.deepgram_manners import NO_ANSWER
from voice_agent.dev_vendors.deepgram_session import parsed, spread, told_as_vendor
from voice_agent.dev_vendors.faults import Fault
from voice_agent.errors import ProviderError

_ENDPOINTING_MS: Final = 10  # the vendor's default
# The voice detector's own resolution: a gap within a word is no silence.
_SHORTEST_SILENCE_S: Final = 0.09
# Long speech: a final at the next gap between words after the first, in any case after the second.
_LONG_S: Final = 4.0
_TOO_LONG_S: Final = 8.0
_EMPTY_EVERY_S: Final = 5.0
_KEYTERM_TOKENS_MAX: Final = 500

_NOVA = {
    "nova-3": "general medical",
    "nova-2": "general meeting phonecall finance conversationalai voicemail video medical drivethru automotive atc",
    "nova": "general phonecall medical",
    "enhanced": "general meeting phonecall finance",
    "base": "general meeting phonecall finance conversationalai voicemail video",
}
MODELS: Final = frozenset(_NOVA) | {f"{tier}-{use}" for tier, uses in _NOVA.items() for use in uses.split()}
# Languages of the two current tiers, without their regions; the recogniser behind knows English only.
_LANGUAGES: Final = frozenset(
    "ar be bg bn bs ca cs da de el en es et fa fi fr he hi hr hu id it ja kn ko lt lv mk mr ms multi nl no pl pt ro ru sk "
    "sl sr sv ta te th tl tr uk ur vi zh".split()
)
_COMMANDS = "`CloseStream`, `Configure`, `Sync`, `KeepAlive`, `Finalize`"


@dataclass(frozen=True, slots=True)
class _Why:
    """Why a segment was settled. ``idle``: nothing was buffered."""

    asked_s: float
    speech_final: bool = False
    from_finalize: bool = False
    closing: bool = False
    idle: bool = False


class Listen:
    """A ``ListeningSession`` of ``/v1/listen``. Raises ``RefusedError`` for parameters that the vendor does not take."""

    in_step = False

    def __init__(self, query: Query, line: Line) -> None:
        self._line = line
        self._model = query.text("model", "base-general")
        self.locale = query.text("language", "en")
        self.hints = query.texts("keyterm")
        if self._model not in MODELS or self.locale.partition("-")[0] not in _LANGUAGES:
            raise RefusedError(400, "Bad Request", "Bad Request: No such model/language/tier combination found.")
        if self.hints and not self._model.startswith("nova-3"):
            raise RefusedError(400, "Bad Request", "Bad Request: keyterm is supported by Nova-3 models only.")
        if query.texts("keywords") and self._model.startswith("nova-3"):
            raise RefusedError(
                400, "Bad Request", "Bad Request: keywords is not supported by Nova-3: use keyterm instead."
            )
        self.resampler = audio_format(query, stated=False)
        self._interim = query.flag("interim_results")
        self._vad_events = query.flag("vad_events")
        self._smart = query.flag("smart_format")
        self._punctuate = query.flag("punctuate") or self._smart
        self._endpointing_s = _endpointing_s(query)
        end_ms = query.whole("utterance_end_ms", 1000, 5000)
        if end_ms is not None and not self._interim:
            raise RefusedError(400, "Bad Request", "Bad Request: utterance_end_ms needs interim_results=true.")
        self._utterance_end_s = None if end_ms is None else end_ms / 1000
        self._created = datetime.now(UTC)
        self._ear: Ear
        self._covered_s = 0.0  # up to where finals were given
        self._owes_speech_final = False  # something was said since the last one
        self._speaking = False  # an utterance is under way
        self._last_word_end_s: float | None = None  # of the utterance under way
        self._answers = 0  # how many segments were answered
        self._ends_after: deque[int] = deque()  # after which answer an utterance is at its end
        self._idle_since_s = 0.0

    def open(self, ear: Ear) -> None:
        self._ear = ear

    # What the ear tells

    def began(self, at_s: float) -> None:
        self._owes_speech_final = self._speaking = True
        self._line.exchange.begin()
        if self._vad_events:
            self._line.post({"type": "SpeechStarted", "channel": [0], "timestamp": round(at_s, 3)}, "SpeechStarted")

    def progressed(self, now: float, silence_s: float) -> None:
        ear = self._ear
        pause = self._endpointing_s is not None and silence_s >= self._endpointing_s
        ended = self._utterance_end_s is not None and silence_s >= self._utterance_end_s
        if pause and (ear.is_open or self._owes_speech_final):
            self._settle(_Why(now_s(), speech_final=True))
        elif ear.is_open and (ended or ear.open_s >= _TOO_LONG_S or (ear.open_s >= _LONG_S and silence_s > 0)):
            self._settle(_Why(now_s()))
        elif ear.is_open or ear.waiting:
            self._idle_since_s = now
        elif now - self._idle_since_s >= _EMPTY_EVERY_S:
            self._idle_since_s = now
            self._results(Take("", 0.0, now, now, now, now), _Why(now_s()))
        if ended and self._speaking and not ear.is_open:
            self._speaking = False
            self._ends_after.append(self._answers + ear.waiting)
            self._end_utterances()

    def guessed(self, take: Take) -> None:
        if self._interim:
            self._results(take, None)

    def settled(self, take: Take, why: object) -> None:
        assert isinstance(why, _Why)
        self._answers += 1
        silent = why.idle and not self._line.exchange.desk.deepgram.answers_idle_finalize
        if not (silent or (why.closing and why.idle)):
            self._results(take, why)
        self._end_utterances()
        if why.closing:
            self._line.post(self._metadata(), "Metadata", due_s=self._line.due_s(why.asked_s))
            self._line.close(1000)

    def lost(self, error: ProviderError) -> None:
        del error  # the vendor does not tell either
        self._line.close(1011, NO_ANSWER)

    # What the client tells

    def command(self, text: str) -> None:
        message = parsed(text)
        if isinstance(message, str):
            self._complain(message, text)
        elif message["type"] == "Finalize":
            self._settle(_Why(now_s(), speech_final=True, from_finalize=True, idle=not self._ear.is_open))
        elif message["type"] == "Configure":
            self._configure(message, text)
        elif message["type"] not in {"KeepAlive", "Sync"}:
            self._complain(f"unknown variant `{message['type']}`, expected one of {_COMMANDS} at line 1", text)

    def close_stream(self) -> None:
        self._settle(_Why(now_s(), speech_final=True, closing=True, idle=not self._ear.is_open))

    def _settle(self, why: _Why) -> None:
        if why.speech_final:
            self._owes_speech_final = False
        self._ear.settle(why)

    def _end_utterances(self) -> None:
        while self._ends_after and self._ends_after[0] <= self._answers:
            self._ends_after.popleft()
            if self._last_word_end_s is not None:
                message = {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": self._last_word_end_s}
                self._line.post(message, f"UtteranceEnd {self._last_word_end_s}")
                self._last_word_end_s = None

    def _configure(self, message: dict[str, Any], text: str) -> None:
        unknown = set(message) - {"type", "keyterms", "features", "processors", "language_hints"}
        if unknown:
            self._complain(
                f"unknown field `{min(unknown)}`, expected one of `features`, `processors`, `keyterms`, `language_hints`",
                text,
            )
            return
        terms = message.get("keyterms")
        if terms is not None and not (isinstance(terms, list) and all(isinstance(term, str) for term in terms)):
            self._complain("invalid type for `keyterms`, expected a sequence of strings", text)
            return
        answer: dict[str, Any] = {"type": "ConfigureSuccess", "request_id": self._line.request_id}
        problem = ""
        if terms is not None and not self._model.startswith("nova-3"):
            problem = "KEYTERMS_NOT_SUPPORTED"
        elif terms is not None and sum(len(term.split()) for term in terms) > _KEYTERM_TOKENS_MAX:
            problem = "KEYTERM_LIMIT_EXCEEDED"
        elif terms is not None:
            self.hints = tuple(terms)
            answer["keyterms"] = terms
        if problem:
            answer["type"] = "ConfigureFailure"
            answer |= {"code": f"CONFIGURE_{problem}", "description": "The stream keeps its previous keyterms."}
        self._line.post(answer, answer["type"])

    def _complain(self, description: str, text: str) -> None:
        description = told_as_vendor(description)
        message = {"type": "Error", "variant": "SchemaError", "description": description, "message": text}
        self._line.post(message, f"Error {description}")

    # What is told

    def _results(self, take: Take, why: _Why | None) -> None:
        """``why`` is ``None`` for a guess."""
        if self._line.fault is Fault.EMPTY:
            take = replace(take, text="", confidence=0.0)
        words = spread(take)
        if words:
            self._last_word_end_s = words[-1][2]
        text = take.text if self._punctuate else _plain(take.text)
        final = why is not None
        start_s, end_s = self._covered_s, max(self._covered_s, take.end_s)
        message = {
            "type": "Results",
            "channel_index": [0, 1],
            "duration": round(end_s - start_s, 3),
            "start": round(start_s, 3),
            "is_final": final,
            "speech_final": why is not None and why.speech_final,
            "channel": {
                "alternatives": [
                    {
                        "transcript": text,
                        "confidence": round(take.confidence, 6),
                        "words": [self._word(word, take.confidence) for word in words],
                    }
                ]
            },
            "metadata": {
                "request_id": self._line.request_id,
                "model_info": self._model_info(),
                "model_uuid": self._model_uuid(),
            },
            "from_finalize": why is not None and why.from_finalize,
        }
        marks = [name for name in ("is_final", "speech_final", "from_finalize") if message[name]]
        last = bool(message["speech_final"])
        due_s = self._line.due_s(why.asked_s) if why is not None and not why.idle else 0.0
        about = " ".join(("Results", *marks, repr(text)))
        self._line.post(message, about, due_s=due_s, content=bool(text) or last, last=last)
        if final:
            self._covered_s = end_s

    def _word(self, word: tuple[str, float, float], confidence: float) -> dict[str, Any]:
        text, start_s, end_s = word
        found = {"word": _plain(text), "start": start_s, "end": end_s, "confidence": round(confidence, 6)}
        return found | {"punctuated_word": text} if self._punctuate else found

    def _metadata(self) -> dict[str, Any]:
        uuid = self._model_uuid()
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self._line.request_id,
            "sha256": hashlib.sha256(self._line.request_id.encode()).hexdigest(),
            "created": self._created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "duration": round(self._ear.now_s, 3),
            "channels": 1,
            "models": [uuid],
            "model_info": {uuid: self._model_info()},
        }

    def _model_info(self) -> dict[str, str]:
        tier = max((tier for tier in _NOVA if self._model.startswith(tier)), key=len)
        return {"name": self._model, "version": "2026-01-01.0", "arch": tier}

    def _model_uuid(self) -> str:
        digest = hashlib.sha256(self._model.encode()).hexdigest()
        return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"


def _plain(text: str) -> str:
    """A text as the vendor writes it without ``punctuate`` and ``smart_format``."""
    return " ".join(re.sub(r"[^\w'\s]", " ", text.lower()).split())


def _endpointing_s(query: Query) -> float | None:
    """``endpointing``: milliseconds, or ``false`` for never (``true`` is the default)."""
    text = query.text("endpointing").lower()
    if text == "false":
        return None
    milliseconds = query.whole("endpointing", 0, 60_000) if text != "true" else None
    return max(_SHORTEST_SILENCE_S, (_ENDPOINTING_MS if milliseconds is None else milliseconds) / 1000)
