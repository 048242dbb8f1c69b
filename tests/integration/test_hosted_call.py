"""One whole call by voice with hosted recognition, language model and synthesis, and what it left behind.

The vendors are stand-ins that speak Deepgram's and OpenAI's protocols, with local models behind: they really hear, think and
speak. The order number and the wish for a person are recordings of a human reader (Debian's asterisk prompts; the
numbers are joined from single digits). The two questions are synthetic: no recording has their words.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from tests.hearing import Prompt, digits_in, recognised
from tests.integration.calls import pin_found, place_call, tools_used
from tests.servers import RunningServer, running_server
from tests.vendors import VendorThread, vendors_in_thread

from voice_agent.clock import process_seconds
from voice_agent.dev_vendors.desk import Engines, Mark
from voice_agent.dev_vendors.engines import open_engines
from voice_agent.dev_vendors.faults import Stage
from voice_agent.evaluation.caller import CallFrame
from voice_agent.evaluation.replay import replay
from voice_agent.providers.llm.base import LanguageModel, LlmEvent, LlmRequest
from voice_agent.providers.tts.base import SpeechSynthesizer

ORDER = "83102"  # the demo shop's: in transit, UPS
VOICE = "joe"
WISH = "queue-callswaiting"  # "waiting to speak with a representative"
_BETWEEN_DIGITS = bytes(3200)  # a tenth of a second

pytestmark = [pytest.mark.speech, pytest.mark.timeout(300)]


class _NotingModel:
    """The language vendor's model, and what it was asked."""

    def __init__(self, model: LanguageModel, noted: list[str]) -> None:
        self._model = model
        self._noted = noted

    async def warm_up(self) -> None:
        await self._model.warm_up()

    def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        self._noted.append(json.dumps([[message.role, message.text] for message in request.messages]))
        return self._model.stream(request)


class _NotingVoice:
    """The voice vendor's synthesiser, and what it was to say."""

    def __init__(self, synthesizer: SpeechSynthesizer, noted: list[str]) -> None:
        self.sample_rate_hz = synthesizer.sample_rate_hz
        self._synthesizer = synthesizer
        self._noted = noted

    async def warm_up(self) -> None:
        await self._synthesizer.warm_up()

    def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        self._noted.append(text)
        return self._synthesizer.synthesize(text, locale=locale)


@dataclass(frozen=True)
class HostedCall:
    """What the caller heard at each step (recognised from the audio), every frame, and what the vendors were given."""

    call_id: str
    heard: dict[str, str]
    frames: list[CallFrame]
    tools: list[tuple[str, str]]
    close_code: int
    asked: list[str]  # of the language model
    to_say: list[str]
    exchanges: dict[Stage, set[str]]  # the paths that were asked during the call


@dataclass(frozen=True)
class Hosts:
    server: RunningServer
    vendors: VendorThread
    asked: list[str]
    to_say: list[str]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    asked: list[str] = []
    to_say: list[str] = []

    @asynccontextmanager
    async def engines() -> AsyncIterator[Engines]:
        async with open_engines() as opened:
            yield replace(
                opened,
                language_model=_NotingModel(opened.language_model, asked),
                synthesizer=_NotingVoice(opened.synthesizer, to_say),
            )

    with vendors_in_thread(engines) as vendors:
        settings = {
            "ASR_PROVIDER": "deepgram",
            "LLM_PROVIDER": "openai",
            "TTS_PROVIDER": "openai",
            "DEEPGRAM_URL": vendors.deepgram_url,
            "DEEPGRAM_API_KEY": vendors.key,
            "OPENAI_BASE_URL": vendors.openai_base_url,
            "OPENAI_API_KEY": vendors.key,
            # The vendors' models share the machine with the platform and the caller; real ones do not.
            "ASR_FIRST_RESULT_MS": "5000",
            "LLM_FIRST_RESULT_MS": "5000",
            "TTS_FIRST_RESULT_MS": "5000",
            "TTS_GAP_MS": "5000",
        }
        with running_server(tmp_path_factory.mktemp("hosted"), settings) as server:
            yield Hosts(server, vendors, asked, to_say)


@pytest.fixture(scope="module")
def hosted_call(hosts: Hosts, prompts: list[Prompt], speech: Callable[..., bytes]) -> HostedCall:
    words = {prompt.name: prompt for prompt in prompts}
    return asyncio.run(_place(hosts, words[WISH].pcm(), lambda text: speech(text, VOICE)))


def _digits(number: str) -> bytes:
    """A number as the human reader says its digits."""
    return b"".join(Prompt(f"digits/{digit}", digit).pcm() + _BETWEEN_DIGITS for digit in number)


async def _place(hosts: Hosts, wish: bytes, voice: Callable[[str], bytes]) -> HostedCall:
    audio: dict[str, bytes] = {}
    begun_s = process_seconds()
    async with place_call(hosts.server) as caller:

        async def turn(name: str, pcm: bytes) -> None:
            utterance = await caller.say(pcm)
            await caller.wait_for_agent_to_finish(timeout_s=30)
            audio[name] = caller.heard_track(utterance.last_voiced_s, caller.now())

        session = await caller.wait_for("session")
        await caller.wait_for_agent_to_finish()
        audio["greeting"] = caller.heard_track()
        await turn("question", voice("Hi, where is my order, please?"))
        await caller.wait_for("state", lambda s: s["waiting_for"] == "pin", timeout_s=1)
        # As one phrase: of single words with pauses between them, a busy recogniser hears one wrong now and then.
        await turn("pin", voice("four two seven one"))
        await turn("order", _digits(ORDER))
        asked = await caller.say(voice("And what is your return policy?"))
        await caller.wait_for_sound(seconds=1.0, since_s=asked.last_voiced_s)
        before = len(caller.events)
        interruption = caller.begin(wish)
        stop = await caller.wait_for("interruption", lambda i: i["action"] == "stop", since=before)
        audio["policy"] = caller.heard_track(asked.last_voiced_s, stop.at_s)
        closed = await caller.wait_until_closed(timeout_s=40)
        audio["human"] = caller.heard_track(interruption.last_voiced_s, closed.at_s)
        frames, tools = list(caller.events), tools_used(caller)
    heard = {name: recognised(pcm, 24_000) for name, pcm in audio.items()}
    requests = [entry for entry in hosts.vendors.entries(begun_s) if entry.mark is Mark.REQUEST]
    exchanges = {stage: {e.text.partition("?")[0] for e in requests if e.stage is stage} for stage in Stage}
    return HostedCall(
        session.data["call_id"], heard, frames, tools, closed.code, list(hosts.asked), list(hosts.to_say), exchanges
    )


def test_the_vendors_heard_thought_and_spoke(hosted_call: HostedCall) -> None:
    assert hosted_call.exchanges[Stage.ASR] == {"/v1/listen"}
    assert "POST /v1/chat/completions" in hosted_call.exchanges[Stage.LLM]
    assert "POST /v1/audio/speech" in hosted_call.exchanges[Stage.TTS]


def test_the_order_is_told_after_pin_and_number(hosted_call: HostedCall) -> None:
    heard = hosted_call.heard
    assert "help you" in heard["greeting"].lower()
    assert re.search(r"\bpin\b", heard["question"].lower()), heard
    assert "which one" in heard["pin"].lower(), heard
    assert ("order_status", "ok") in hosted_call.tools
    assert ORDER in digits_in(heard["order"]), heard
    assert re.search(r"transit|on (its|the) way", heard["order"].lower()), heard


def test_the_policy_is_answered_until_interrupted(hosted_call: HostedCall) -> None:
    assert ("knowledge_base", "ok") in hosted_call.tools
    assert hosted_call.heard["policy"], hosted_call.heard
    interrupted = [f.data for f in hosted_call.frames if f.type == "agent_heard" and f.data["interrupted"]]
    assert len(interrupted) == 1


def test_the_call_goes_to_a_human_and_ends(hosted_call: HostedCall) -> None:
    assert [f.data["reason"] for f in hosted_call.frames if f.type == "escalation"] == ["human_requested"]
    assert "colleague" in hosted_call.heard["human"].lower(), hosted_call.heard
    assert hosted_call.frames[-1].data["outcome"] == "escalated"
    assert hosted_call.close_code == 1000


def test_the_log_is_consistent_and_knows_no_failover(hosted_call: HostedCall, hosts: Hosts) -> None:
    path = next(path for path in hosts.server.event_logs() if hosted_call.call_id in path.read_text())
    report = replay(path)
    assert report.same, report.text()
    assert not report.notes
    names = [json.loads(line).get("name") for line in path.read_text().splitlines()]
    assert "failover" not in names


def test_the_pin_is_nowhere(hosted_call: HostedCall, hosts: Hosts) -> None:
    """Of the vendors only the recogniser ever has it."""
    server = hosts.server
    places = {
        "frames": "\n".join(json.dumps(dict(frame.data)) for frame in hosted_call.frames),
        "process log": server.log_path.read_text(errors="replace"),
        "metrics": server.get("/metrics"),
        "language model": "\n".join(hosted_call.asked),
        "synthesis": "\n".join(hosted_call.to_say),
    }
    places |= {str(path): path.read_text() for path in server.event_logs()}
    databases = [path for path in server.state_dir.rglob("voice_agent.db*") if path.is_file()]
    places |= {str(path): path.read_bytes().decode("latin-1") for path in databases}
    assert hosted_call.asked
    assert databases
    leaks = {name: found for name, text in places.items() if (found := pin_found(text))}
    assert not leaks
    assert hosts.vendors.key not in "".join(places.values())
