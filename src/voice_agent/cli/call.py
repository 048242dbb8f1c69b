"""``voice-agent call``: a spoken call to a server, printed as it happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from voice_agent.config import Settings, load_settings
from voice_agent.errors import CallError, ConfigError
from voice_agent.evaluation.caller import CallFrame, CallOptions, SimulatedCaller, Utterance
from voice_agent.evaluation.caller_audio import read_wav, write_wav

_ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What the user asked for. ``url`` empty: the server that HOST and PORT describe."""

    wavs: tuple[Path, ...]
    folder: Path | None
    texts: tuple[str, ...]
    caller_id: str
    locale: str
    agent: str
    called: str
    url: str
    local: bool
    save: Path | None


@dataclass(frozen=True, slots=True)
class _Line:
    """One thing to say: its label for the table, and its audio."""

    label: str
    pcm: bytes


def run_call(plan: CallPlan) -> int:
    """Places the call; 0 where every turn was answered, else 1. Raises ``ConfigError`` and ``CallError``."""
    return asyncio.run(_call(plan))


async def _call(plan: CallPlan) -> int:
    settings = load_settings()
    options = CallOptions(
        caller_id=plan.caller_id,
        locale=plan.locale,
        agent=plan.agent,
        called=plan.called,
        token=settings.server.access_token.get_secret_value(),
    )
    lines = [*_recordings(plan, options.in_rate_hz), *await _spoken(plan, options.in_rate_hz, settings)]
    if not lines:
        raise ConfigError("nothing to say: give --say TEXT, --wav FILE or --dir FOLDER.")
    console = Console(highlight=False)
    async with _server(plan, settings, console) as url:
        dialogue = _Dialogue(console)
        async with SimulatedCaller(url, options, on_frame=dialogue.show) as caller:
            answered = await _take_turns(caller, lines, dialogue)
            if caller.closed is None:
                await caller.hang_up()
        dialogue.flush()
        console.print(dialogue.table(caller))
        if plan.save is not None:
            write_wav(plan.save, caller.heard_track(), options.out_rate_hz)
            console.print(f"The agent's side of the call is in {plan.save}.", markup=False)
    return 0 if answered == len(lines) else 1


def _recordings(plan: CallPlan, rate_hz: int) -> Iterator[_Line]:
    for path in plan.wavs:
        yield _Line(path.name, read_wav(path, rate_hz))
    if plan.folder is not None:
        files = sorted(plan.folder.glob("*.wav"))
        if not files:
            raise ConfigError(f"--dir {plan.folder}: no .wav files there.")
        for path in files:
            yield _Line(path.name, read_wav(path, rate_hz))


async def _spoken(plan: CallPlan, rate_hz: int, settings: Settings) -> list[_Line]:
    if not plan.texts:
        return []
    from voice_agent.cli.speech import Speaker

    async with Speaker(settings) as speaker:
        return [_Line(text, await speaker.say(text, rate_hz, plan.locale)) for text in plan.texts]


@asynccontextmanager
async def _server(plan: CallPlan, settings: Settings, console: Console) -> AsyncIterator[str]:
    """The base URL to call: the user's, the configured server's, or one that lives as long as the call."""
    if not plan.local:
        yield plan.url or f"ws://{settings.server.host}:{settings.server.port}"
        return
    from voice_agent.cli.serve import local_server

    console.print("Starting a server in this process ...", style="dim")
    async with local_server() as url:
        yield url


async def _take_turns(caller: SimulatedCaller, lines: list[_Line], dialogue: _Dialogue) -> int:
    """Says each line once the agent has finished; the number of lines that were answered."""
    answered = 0
    await caller.wait_for_agent_to_finish(timeout_s=_ANSWER_TIMEOUT_S)
    for line in lines:
        if caller.closed is not None:
            break
        try:
            utterance = await caller.say(line.pcm)
            dialogue.said(line.label, utterance)
            await caller.wait_for_agent_to_finish(timeout_s=_ANSWER_TIMEOUT_S)
            answered += caller.playback.first_sound_after(utterance.last_voiced_s) is not None
        except CallError as error:
            dialogue.note(str(error))
    if caller.closed is not None and answered < len(lines):
        dialogue.note(
            f"the call ended with close code {caller.closed.code}: {caller.closed.reason or 'no reason given'}"
        )
    return answered


class _Dialogue:
    """Prints the dialogue from the text frames, and keeps each turn's latencies for the closing table."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._transcript = ""
        self._turns: list[tuple[str, Utterance]] = []
        self._metrics: list[CallFrame] = []

    def show(self, frame: CallFrame) -> None:
        """One text frame. A final transcript is held until something follows, as a later one may replace it."""
        data = frame.data
        match frame.type:
            case "transcript" if data["final"]:
                self._transcript = data["text"]
            case "agent_text":
                self.flush()
                self._print("Agent ", data["text"], "cyan")
            case "tool" if data["status"] != "started":
                self.flush()
                self._print("  tool ", f"{data['name']}: {data['status']}", "magenta")
            case "interruption" if data["action"] == "stop":
                self.note("the caller interrupted")
            case "metrics":
                self.flush()
                self._metrics.append(frame)
                self._print("       ", _latencies(frame), "dim")
            case "escalation":
                self.flush()
                self.note(f"handed over to a human: {data['reason']}, reference {data['reference']}")
            case "end":
                self.flush()
                self.note(f"the call ended: {data['outcome']}, {data['reason']}")
            case _:
                pass

    def said(self, label: str, utterance: Utterance) -> None:
        self._turns.append((label, utterance))

    def flush(self) -> None:
        if self._transcript:
            self._print("Caller ", self._transcript, "green")
            self._transcript = ""

    def note(self, text: str) -> None:
        self._print("     * ", text, "yellow")

    def table(self, caller: SimulatedCaller) -> Table:
        """Each turn's answer time as the caller heard it, beside the server's own account of the same turn."""
        table = Table(title="Latencies (ms)", title_justify="left")
        table.add_column("said", overflow="ellipsis", no_wrap=True, max_width=44)
        for column in ("heard after", "turn", "asr", "llm", "tts", "rest"):
            table.add_column(column, justify="right")
        for number, (label, utterance) in enumerate(self._turns):
            until_s = self._turns[number + 1][1].start_s if number + 1 < len(self._turns) else float("inf")
            heard = caller.playback.first_sound_after(utterance.last_voiced_s)
            waited = f"{(heard.received_s - utterance.last_voiced_s) * 1e3:.0f}" if heard else "no answer"
            own = [m for m in self._metrics if utterance.last_voiced_s <= m.at_s < until_s]
            keys = ("turn_ms", "asr_ms", "llm_ms", "tts_ms", "remainder_ms")
            server = [_ms(own[0].data.get(key)) for key in keys] if own else [""] * len(keys)
            table.add_row(Text(label), waited, *server)
        return table

    def _print(self, speaker: str, text: str, style: str) -> None:
        self._console.print(Text.assemble((speaker, f"bold {style}"), (text, "dim" if style == "dim" else "")))


def _ms(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, int | float) else ""


def _latencies(frame: CallFrame) -> str:
    names = {"turn_ms": "turn", "asr_ms": "asr", "llm_ms": "llm", "tts_ms": "tts", "remainder_ms": "remainder"}
    return "  ".join(f"{name} {_ms(frame.data.get(key))} ms" for key, name in names.items() if _ms(frame.data.get(key)))
