"""Deepgram's ``/v2/listen`` (Flux): the recogniser that tells turns.

Rules (developers.deepgram.com/docs/flux/state, configuration, configure, force-end-turn):

1. A turn starts with its first word (``StartOfTurn``). ``EagerEndOfTurn`` comes only where ``eager_eot_threshold`` is set,
   and never without words; speech after it is a ``TurnResumed`` first. ``EndOfTurn`` has the words of the
   ``EagerEndOfTurn`` before it, and ends the turn: ``turn_index`` counts on.
2. Without any of these an ``Update`` comes every quarter of a second of audio.
3. The confidence that a turn is over rises with the silence, faster where the words sound finished. ``eot_timeout_ms`` of
   silence ends a turn whatever it is; ``ForceEndTurn`` ends it at once.
4. Every message has the next ``sequence_id``.
5. A text message that is no known one (``KeepAlive`` and ``Finalize`` among them) is a fatal ``Error``: the session closes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Final

from voice_agent.dev_vendors.deepgram_door import Line, Query, RefusedError, audio_format, now_s
from voice_agent.dev_vendors.deepgram_engine import Ear, Take
from voice_agent.dev_vendors.deepgram_manners import NO_AUDIO
from voice_agent.dev_vendors.deepgram_session import parsed, spread, told_as_vendor
from voice_agent.dev_vendors.faults import Fault
from voice_agent.errors import ProviderError

MODELS: Final = ("flux-general-en", "flux-general-multi")
_UPDATE_S: Final = 0.25
# A silence after which what was said is settled; shorter ones are within words.
_PAUSE_S: Final = 0.16
# The silence that makes an end of turn likely by 1 - 1/e: after finished words, and how much longer after others.
_FINISHED_S: Final = 0.25
_UNFINISHED_FACTOR: Final = 10.0
_COMMANDS = "`CloseStream`, `Configure`, `ForceEndTurn`"


class _State(Enum):
    INITIAL = auto()
    ONGOING = auto()
    AWAITING = auto()  # an EagerEndOfTurn was sent


class _Why(Enum):
    PAUSE = auto()
    FORCED = auto()
    CLOSING = auto()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``eager``: ``None`` for no eager events."""

    eot: float = 0.7
    eager: float | None = None
    timeout_ms: int = 5000

    def __post_init__(self) -> None:
        """Raises ``ValueError``."""
        for name, value, low, high in (
            ("eot_threshold", self.eot, 0.5, 1.0),
            ("eager_eot_threshold", self.eager, 0.3, 0.9),
            ("eot_timeout_ms", self.timeout_ms, 500, 60_000),
        ):
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} must be between {low:g} and {high:g}, got {value:g}")
        if self.eager is not None and self.eager > self.eot:
            raise ValueError(f"eager_eot_threshold ({self.eager:g}) must not be above eot_threshold ({self.eot:g})")

    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = {"eot_threshold": self.eot, "eot_timeout_ms": self.timeout_ms}
        return told if self.eager is None else {**told, "eager_eot_threshold": self.eager}


class Flux:
    """A ``ListeningSession`` of ``/v2/listen``. Raises ``RefusedError`` for parameters that the vendor does not take."""

    in_step = True

    def __init__(self, query: Query, line: Line) -> None:
        self._line = line
        if query.text("model") not in MODELS:
            raise RefusedError(400, "Bad Request", f"Bad Request: model must be one of {', '.join(MODELS)}.")
        self._hinted = query.texts("language_hint")
        if self._hinted and query.text("model") != "flux-general-multi":
            raise RefusedError(400, "Bad Request", "Bad Request: language_hint needs model=flux-general-multi.")
        self.resampler = audio_format(query, stated=False)
        self.locale = "en"
        self.hints = query.texts("keyterm")
        eot, eager = query.number("eot_threshold", 0.5, 1.0), query.number("eager_eot_threshold", 0.3, 0.9)
        timeout_ms = query.whole("eot_timeout_ms", 500, 60_000)
        try:
            self._thresholds = Thresholds(
                0.7 if eot is None else eot, eager, 5000 if timeout_ms is None else timeout_ms
            )
        except ValueError as wrong:
            raise RefusedError(400, "INVALID_QUERY_PARAMETER", str(wrong)) from None
        line.on_idle = lambda: self._fail("INACTIVE_CLIENT", NO_AUDIO, 1011)
        self._ear: Ear
        self._sequence = 0
        self._turn = 0
        self._state = _State.INITIAL
        self._settled: list[Take] = []  # of this turn
        self._guess: Take | None = None  # of the open segment
        self._window_start_s = 0.0
        self._told_s = 0.0  # up to where the last message told
        self._silence_s = 0.0
        self._forced = False

    def open(self, ear: Ear) -> None:
        self._ear = ear
        self._post({"type": "Connected"}, "Connected")

    # What the ear tells

    def began(self, at_s: float) -> None:
        if self._state is _State.INITIAL:
            self._line.exchange.begin()

    def progressed(self, now: float, silence_s: float) -> None:
        self._silence_s = silence_s
        if self._ear.is_open and silence_s >= _PAUSE_S:
            self._ear.settle(_Why.PAUSE, judge=True)
        self._judge()
        if now - self._told_s >= _UPDATE_S - 1e-6:
            self._tell("Update")

    def guessed(self, take: Take) -> None:
        if self._ear.is_open:
            self._guess = take
            self._start()

    def settled(self, take: Take, why: object) -> None:
        self._guess = None
        if take.text:
            self._settled.append(take)
        self._start()
        if why is _Why.CLOSING:
            if self._state is not _State.INITIAL:
                self._tell("Update")
            self._line.close(1000)
        else:
            self._forced = self._forced or why is _Why.FORCED
            self._judge()

    def lost(self, error: ProviderError) -> None:
        del error  # the vendor does not tell either
        self._fail("INTERNAL_SERVER_ERROR", "An internal server error occurred.", 1011)

    # The turn

    def _start(self) -> None:
        if self._state is _State.INITIAL and self._takes():
            self._state = _State.ONGOING
            self._tell("StartOfTurn")

    def _judge(self) -> None:
        """Takes the turn where it belongs, now that something is known."""
        if self._state is _State.AWAITING and self._ear.is_open:
            self._state = _State.ONGOING
            self._tell("TurnResumed")
        if self._ear.waiting or (self._ear.is_open and not self._forced):
            return
        if self._state is _State.INITIAL:
            self._forced = False
            return
        confidence, limits = self._confidence(), self._thresholds
        trigger = "manual" if self._forced else "timeout" if self._silence_s >= limits.timeout_ms / 1000 else "model"
        over = trigger != "model" or (confidence >= limits.eot and limits.eot < 1.0)
        eager = limits.eager is not None and (confidence >= limits.eager or over) and trigger != "manual"
        if self._state is _State.ONGOING and eager:
            self._state = _State.AWAITING
            self._tell("EagerEndOfTurn")
        if over:
            self._tell("EndOfTurn", trigger)
            self._state, self._forced, self._guess = _State.INITIAL, False, None
            self._settled.clear()
            self._turn += 1
            self._window_start_s = self._ear.now_s

    def _confidence(self) -> float:
        """That no more speech comes in this turn."""
        if not self._settled or self._ear.is_open or self._ear.waiting:
            return 0.01
        slowness_s = _FINISHED_S * _UNFINISHED_FACTOR ** (1.0 - self._settled[-1].finished)
        return max(0.01, min(0.99, 1.0 - math.exp(-self._silence_s / slowness_s)))

    def _takes(self) -> list[Take]:
        guess = [self._guess] if self._guess is not None and self._guess.text else []
        return [*self._settled, *guess]

    # What the client tells

    def command(self, text: str) -> None:
        message = parsed(text)
        if isinstance(message, str):
            self._unparsable(message)
        elif message["type"] == "Configure":
            self._configure(message)
        elif message["type"] != "ForceEndTurn":
            self._unparsable(f"unknown variant `{message['type']}`, expected one of {_COMMANDS} at line 1")
        elif self._ear.is_open or self._ear.waiting:
            self._ear.settle(_Why.FORCED)
        elif self._state is _State.INITIAL:
            warning = {
                "code": "NO_ACTIVE_TURN",
                "description": "ForceEndTurn was received while no turn was under way.",
            }
            self._post({"type": "Warning", **warning}, "Warning NO_ACTIVE_TURN")
        else:
            self._forced = True
            self._judge()

    def close_stream(self) -> None:
        self._ear.settle(_Why.CLOSING)

    def _configure(self, message: dict[str, Any]) -> None:
        if unknown := set(message) - {"type", "thresholds", "keyterms", "language_hints", "numerals"}:
            self._unparsable(f"unknown field `{min(unknown)}`")
            return
        try:
            self._thresholds = _changed(self._thresholds, message.get("thresholds"))
            self.hints = _strings(message.get("keyterms"), self.hints)
        except ValueError as wrong:
            failure = {"type": "ConfigureFailure", "code": "INVALID_CONFIGURATION", "description": str(wrong)}
            self._post(failure, f"ConfigureFailure {wrong}")
            return
        self._post(
            {"type": "ConfigureSuccess", "thresholds": self._thresholds.told(), "keyterms": list(self.hints)},
            "ConfigureSuccess",
        )
        self._judge()

    def _unparsable(self, description: str) -> None:
        self._fail("UNPARSABLE_CLIENT_MESSAGE", told_as_vendor(description), 1008)

    def _fail(self, code: str, description: str, close_code: int) -> None:
        self._post({"type": "Error", "code": code, "description": description}, f"Error {code}")
        self._line.close(close_code, code)

    # What is told

    def _tell(self, event: str, trigger: str | None = None) -> None:
        takes = self._takes()
        if self._line.fault is Fault.EMPTY:
            takes = [replace(take, text="") for take in takes]
        words = [
            {"word": word, "confidence": round(take.confidence, 4), "start": start_s, "end": end_s}
            for take in takes
            for word, start_s, end_s in spread(take)
        ]
        text = " ".join(take.text for take in takes if take.text)
        message: dict[str, Any] = {
            "type": "TurnInfo",
            "event": event,
            "turn_index": self._turn,
            "audio_window_start": round(self._window_start_s, 3),
            "audio_window_end": round(self._ear.now_s, 3),
            "transcript": text,
            "words": words,
            "end_of_turn_confidence": round(self._confidence(), 4),
        }
        if trigger is not None:
            message["trigger"] = trigger
        if self._hinted:
            message |= {"languages": ["en"] if text else [], "languages_hinted": list(self._hinted)}
        self._told_s = self._ear.now_s
        decided = event in {"EagerEndOfTurn", "EndOfTurn"}
        due_s = self._line.due_s(now_s()) if decided else 0.0
        about = f"TurnInfo {event} {text!r}"
        self._post(message, about, due_s=due_s, content=bool(text) or decided, last=event == "EndOfTurn")

    def _post(
        self, message: dict[str, Any], about: str, *, due_s: float = 0.0, content: bool = False, last: bool = False
    ) -> None:
        message |= {"request_id": self._line.request_id, "sequence_id": self._sequence}
        self._sequence += 1
        self._line.post(message, about, due_s=due_s, content=content, last=last)


def _changed(old: Thresholds, wanted: Any) -> Thresholds:
    """The thresholds with what a ``Configure`` asks for. Raises ``ValueError``."""
    if wanted is None:
        return old
    try:
        eager = wanted.get("eager_eot_threshold", old.eager)
        return Thresholds(
            float(wanted.get("eot_threshold", old.eot)),
            None if eager is None else float(eager),
            int(wanted.get("eot_timeout_ms", old.timeout_ms)),
        )
    except (AttributeError, TypeError) as wrong:
        raise ValueError(f"thresholds must be numbers: {wrong}") from wrong


def _strings(wanted: Any, old: tuple[str, ...]) -> tuple[str, ...]:
    """A string or several. Raises ``ValueError``."""
    if wanted is None:
        return old
    terms = [wanted] if isinstance(wanted, str) else wanted
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms):
        raise ValueError("keyterms must be strings")
    return tuple(terms)
