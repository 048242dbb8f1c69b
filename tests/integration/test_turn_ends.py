"""How the real recogniser, the real end-of-turn model and the words together tell a pause from an end.

Offline and exact: each turn is spoken in parts; at every part's end the models hear what they would hear live (the pause
as far as it is when they are asked), and the silence needed is compared with the pause.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray
from tests.speech import synthesise

from voice_agent.call.vault import SecretVault
from voice_agent.conversation.endpointing import EndpointingSettings, needed_silence
from voice_agent.conversation.locales import resolve_locale
from voice_agent.models import OpenQuestion, UtteranceId
from voice_agent.observability.pii import mask
from voice_agent.providers.asr.moonshine import SAMPLE_RATE_HZ, Moonshine, Stop
from voice_agent.providers.pool import ModelPool
from voice_agent.providers.turn.smart_turn import SmartTurnModel
from voice_agent.providers.weights import moonshine

SETTINGS = EndpointingSettings()
VOICES = ("heart", "joe")
PAUSE_S = 0.7
# The pause as far as it has come when final and score are asked for.
_ASKED_AFTER_S = 0.19
_FRAME = 320
_QUIET_RMS = 0.006

QUESTIONS = (
    "What is your return policy?",
    "Where is my order?",
    "How do I send something back?",
    "I would like to cancel my order.",
    "Does the tent come with pegs?",
    "My discount code is not working.",
    "Could you tell me where your nearest store is?",
    "Is it possible to pay on delivery?",
)
BROKEN_OFF = (
    ("I would like to", "return the jacket I bought."),
    ("My order was supposed to", "arrive on Friday."),
    ("Can you tell me if", "you have it in green?"),
    ("I bought a pair of boots and", "one of them has a hole."),
    ("Let me see,", "it was the blue one."),
    ("Um,", "I'd like to know where my order is."),
    ("Hold on, let me get it.", "It's eight three one oh two."),
    ("Hey,", "my package hasn't come."),
    ("I ordered two tents", "but only one came."),
    ("When I opened the box,", "the lamp was broken."),
)
SHAPED = (
    (OpenQuestion.ORDER_NUMBER, ("It's eight three one", "oh two.")),
    (OpenQuestion.ORDER_NUMBER, ("nine four", "one one seven.")),
    (OpenQuestion.EMAIL, ("It's mary dot brown", "at example dot com.")),
    (OpenQuestion.DATE, ("The third of", "May.")),
    (OpenQuestion.DATE, ("On March", "the twelfth.")),
    (OpenQuestion.PHONE, ("seven one eight five five five", "oh one four two.")),
)


@functools.cache
def _recogniser() -> Moonshine:
    return Moonshine(moonshine())


def _spoken(text: str, voice: str) -> NDArray[np.int16]:
    """The words without the silence around them."""
    samples = np.frombuffer(synthesise(text, voice, rate_hz=SAMPLE_RATE_HZ)[0], "<i2")
    frames = samples[: samples.size // _FRAME * _FRAME].reshape(-1, _FRAME) / 32_768
    loud = np.flatnonzero(np.sqrt(np.mean(np.square(frames), axis=1)) > _QUIET_RMS)
    return samples[loud[0] * _FRAME : (loud[-1] + 1) * _FRAME]


def _silence(seconds: float) -> NDArray[np.int16]:
    return np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.int16)


async def _waits(parts: Sequence[str], voice: str, question: OpenQuestion, model: SmartTurnModel) -> list[float]:
    """The silence needed after each part, in seconds."""
    vault = SecretVault(secret_digits=SETTINGS.secret_digits, order_digits=SETTINGS.order_digits, mask=mask)
    heard = [_silence(0.1)]
    waits: list[float] = []
    for part in parts:
        heard.append(_spoken(part, voice))
        pcm = np.concatenate([*heard, _silence(_ASKED_AFTER_S)]).astype("<i2").tobytes()
        text = " ".join(found.text.strip() for found in _recogniser().transcribe(pcm, (), Stop()))
        shown, _ = vault.hear(UtteranceId(1), text.strip(), partial=False, collecting=False, unverified=True)
        decision = needed_silence(
            shown,
            probability=await model.completeness(pcm),
            question=question,
            secret_digits=None,
            locale=resolve_locale("en-US"),
            settings=SETTINGS,
        )
        waits.append(decision.wait_s)
        heard.append(_silence(PAUSE_S))
    return waits


async def test_questions_end_soon_and_pauses_do_not_end_turns(figure: Callable[[str], None]) -> None:
    pool = ModelPool(workers=1, queue=8)
    try:
        model = SmartTurnModel(pool)
        ends = [(await _waits([text], voice, OpenQuestion.OPEN, model))[-1] for text in QUESTIONS for voice in VOICES]
        pauses = [
            wait_s
            for parts in BROKEN_OFF
            for voice in VOICES
            for wait_s in (await _waits(parts, voice, OpenQuestion.OPEN, model))[:-1]
        ]
        shaped = [await _waits(parts, voice, asked, model) for asked, parts in SHAPED for voice in VOICES]
    finally:
        await pool.close()
    cut = sum(wait_s < PAUSE_S for wait_s in pauses) / len(pauses)
    cut_in_shapes = sum(waits[0] < PAUSE_S for waits in shaped) / len(shaped)
    slowest = sorted(ends)[-2]
    figure(
        f"silence needed after whole questions: median {median(ends):.2f} s, all but one within {slowest:.2f} s; "
        f"cut off at pauses of {PAUSE_S} s: {cut:.0%} of sentences, {cut_in_shapes:.0%} of numbers and addresses"
    )
    assert median(ends) <= SETTINGS.min_s + 0.05
    assert slowest <= 0.6
    assert cut <= 0.25
    assert cut_in_shapes <= 0.1
