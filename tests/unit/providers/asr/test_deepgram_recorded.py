"""Recorded sessions: Deepgram's own client and ours read the same messages, and find the same words and flags in them.

The recordings have the shape of the vendor's documents (https://developers.deepgram.com/docs/understand-endpointing-interim-results,
.../finalize, .../flux/state), with everything a message may carry.
"""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.providers.deepgram_wire import deepgram_wire, results, spoken, turn

from voice_agent.config import DeepgramSettings
from voice_agent.errors import ProviderError
from voice_agent.providers.deepgram.flux import FluxApi
from voice_agent.providers.deepgram.listening import Api, Gives, Heard
from voice_agent.providers.deepgram.nova import NovaApi

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the vendor's client uses websockets' old interface
    from deepgram import AsyncDeepgramClient
    from deepgram.environment import DeepgramClientEnvironment
    from deepgram.listen.v1.client import AsyncV1Client as _Loaded  # noqa: F401 - modules are otherwise loaded later
    from deepgram.listen.v2.client import AsyncV2Client as _Loaded2  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SETTINGS = DeepgramSettings(DEEPGRAM_API_KEY="k")
METADATA = {"type": "Metadata", "transaction_key": "deprecated", "request_id": "r", "sha256": "s", "created": "now"}

NOVA: list[dict[str, Any]] = [
    {"type": "SpeechStarted", "channel": [0], "timestamp": 0.31},
    results(0.0, 1.02, "where", final=False),
    results(0.0, 1.98, "where is my", final=False),
    results(0.0, 2.6, "Where is my order?"),
    results(2.6, 3.4, "It's", final=False),
    results(
        2.6, 4.1, "It's 83102.", speech_final=True, words=[*spoken("It's", 2.7), *spoken("83102.", 3.1, confidence=0.4)]
    ),
    {"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": 3.3},
    results(4.1, 5.0, "", final=False),
    results(4.1, 6.0, "", finalized=True),
    {**METADATA, "duration": 6.0, "channels": 1},
]
FLUX: list[dict[str, Any]] = [
    {"type": "Connected", "request_id": "r", "sequence_id": 0},
    turn("Update", 0.0, 0.24),
    turn("StartOfTurn", 0.0, 0.96, "Hi"),
    turn("Update", 0.0, 1.2, "Hi I", timed=False),
    turn("EagerEndOfTurn", 0.0, 2.1, "Hi I need help"),
    turn("TurnResumed", 0.0, 2.3, "Hi I need help"),
    turn("Update", 0.0, 2.6, "Hi I need help please"),
    turn("EagerEndOfTurn", 0.0, 3.0, "Hi I need help please."),
    turn("EndOfTurn", 0.0, 3.2, "Hi I need help please."),
    turn("Update", 3.2, 3.4, index=1),
]


async def by_sdk(messages: list[dict[str, Any]], version: str) -> list[Any]:
    """The vendor's client's reading, over a connection."""
    async with deepgram_wire() as wire:
        http = wire.url
        environment = DeepgramClientEnvironment(
            base=http, production=http.replace("http", "ws"), agent=http.replace("http", "ws"), agent_rest=http
        )
        client = AsyncDeepgramClient(api_key="k", environment=environment).listen
        connecting = (
            client.v1.connect(model="nova-3") if version == "v1" else client.v2.connect(model="flux-general-en")
        )
        async with asyncio.timeout(10), connecting as connection:
            session = await wire.session(1)
            await session.say(*messages)
            return [await connection.recv() for _ in messages]


def by_us(messages: list[dict[str, Any]], api: Api) -> list[Heard | None]:
    return [api.read(orjson.dumps(message), 0.0) for message in messages]


async def test_v1_is_read_alike() -> None:
    theirs = await by_sdk(NOVA, "v1")
    ours = by_us(NOVA, NovaApi(SETTINGS, model="nova-3", locale="en-US", hints=()))
    told = 0
    for message, heard in zip(theirs, ours, strict=True):
        if message.type != "Results":
            assert (heard is not None and heard.gives is Gives.FINAL) == (message.type == "UtteranceEnd")
            continue
        assert heard is not None
        assert heard.segment is not None
        best = message.channel.alternatives[0]
        assert heard.segment.text == best.transcript
        assert heard.segment.words == [
            (word.punctuated_word, word.start, word.end, word.confidence) for word in best.words
        ]
        assert (heard.segment.start_s, heard.processed_s) == (message.start, message.start + message.duration)
        assert heard.settled == message.is_final
        assert (heard.gives is Gives.FINAL) == message.speech_final
        assert heard.answers == message.from_finalize
        told += 1
    assert told == 7


async def test_v2_is_read_alike() -> None:
    theirs = await by_sdk(FLUX, "v2")
    ours = by_us(FLUX, FluxApi(SETTINGS, model="flux-general-en", locale="en-US", hints=()))
    gives = {
        "EagerEndOfTurn": Gives.FINAL,
        "TurnResumed": Gives.RESUMED,
        "EndOfTurn": Gives.TURN_END,
    }
    told = 0
    for message, heard in zip(theirs, ours, strict=True):
        if message.type != "TurnInfo":
            assert heard is None
            continue
        assert heard is not None
        assert heard.processed_s == message.audio_window_end
        assert heard.gives is gives.get(message.event, Gives.WORDS)
        if message.transcript:
            assert heard.segment is not None
            assert heard.segment.text == message.transcript
            assert [(word[0], word[3]) for word in heard.segment.words] == [
                (word.word, word.confidence) for word in message.words
            ]
            if message.words[0].start is not None:
                assert [word[1:3] for word in heard.segment.words] == [(word.start, word.end) for word in message.words]
            assert heard.settled == (message.event == "EndOfTurn")
            told += 1
    assert told == 7


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["start", "word", "words", "x"]), inner)
    ),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A message of a recording in which one thing is another."""
    message = orjson.loads(orjson.dumps(draw(st.sampled_from(NOVA + FLUX))))
    place = message
    while True:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
            place[key] = draw(ANYTHING)
            return orjson.dumps(message)
        place = place[key]


@given(damaged() | st.binary(max_size=20) | ANYTHING.map(orjson.dumps))
def test_a_damaged_message_is_a_provider_error_or_harmless(message: bytes) -> None:
    for api in (
        NovaApi(SETTINGS, model="nova-3", locale="en-US", hints=()),
        FluxApi(SETTINGS, model="flux-general-en", locale="en-US", hints=()),
    ):
        try:
            heard = api.read(message, 0.0)
        except ProviderError:
            continue
        if heard is not None and heard.segment is not None:
            assert " ".join(word[0] for word in heard.segment.words) is not None
            assert isinstance(heard.segment.text, str)
            assert all(isinstance(value, int | float) for word in heard.segment.words for value in word[1:])
            assert isinstance(heard.segment.end_s, int | float)
