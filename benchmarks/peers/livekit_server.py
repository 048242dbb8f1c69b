"""LiveKit Agents with the script of ``load/``; runs in the environment that ``peers/setup.py`` made.

An ``AgentSession`` whose audio comes from and goes to a WebSocket: no room, no WebRTC, no Opus, and all sessions in one
process, where LiveKit itself runs one process a job. All of that spares it work.

As shipped: the bundled Silero, the local turn detector, its endpointing delays. Leanest (``--lean``): turns end by Silero
alone with delays at their floor, uvloop. In both, interruptions go by Silero, as the turn detector's default needs a cloud
service, and the first seconds of a call are not exempt from them.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from livekit import rtc
from livekit.agents import Agent, AgentSession, TurnHandlingOptions, function_tool, inference, llm, stt, tts, utils
from livekit.agents.language import LanguageCode
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities
from load.script import (
    CHUNK_BYTES,
    CHUNK_S,
    FIRST_TOKEN_S,
    HEAR_RATE_HZ,
    SPEAK_RATE_HZ,
    TOOL_S,
    MarkedSpeech,
    Voice,
    wants_tool,
    written,
)
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


class Recogniser(stt.STT):
    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))

    async def _recognize_impl(self, buffer: Any, *, language: Any, conn_options: Any) -> stt.SpeechEvent:
        raise NotImplementedError("it streams")

    def stream(self, *, language: Any = NOT_GIVEN, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> RecogniserStream:
        return RecogniserStream(stt=self, conn_options=conn_options)


class RecogniserStream(stt.RecognizeStream):
    async def _run(self) -> None:
        kinds = stt.SpeechEventType

        def send(kind: stt.SpeechEventType, text: str | None = None) -> None:
            if self._event_ch.closed:
                return
            heard = [] if text is None else [stt.SpeechData(text=text, language=LanguageCode("en"))]
            self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=heard))

        def final(text: str) -> None:
            send(kinds.FINAL_TRANSCRIPT, text)
            send(kinds.END_OF_SPEECH)

        marks = MarkedSpeech(
            on_begin=lambda: send(kinds.START_OF_SPEECH),
            on_partial=lambda text: send(kinds.INTERIM_TRANSCRIPT, text),
            on_final=final,
        )
        async for frame in self._input_ch:
            if isinstance(frame, rtc.AudioFrame):
                marks.feed(bytes(frame.data))


class Model(llm.LLM):
    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: Any = None,
        conn_options: Any = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: Any = NOT_GIVEN,
        tool_choice: Any = NOT_GIVEN,
        extra_kwargs: Any = NOT_GIVEN,
    ) -> ModelStream:
        return ModelStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class ModelStream(llm.LLMStream):
    async def _run(self) -> None:
        text, after_tool = "", False
        for item in reversed(self._chat_ctx.items):
            after_tool = after_tool or item.type == "function_call_output"
            if item.type == "message" and item.role == "user":
                text = item.text_content or ""
                break
        if wants_tool(text) and not after_tool:
            await asyncio.sleep(FIRST_TOKEN_S)
            call_id = f"call-{len(self._chat_ctx.items)}"
            call = llm.FunctionToolCall(name="lookup", arguments='{"query": "delivery"}', call_id=call_id)
            self._send(llm.ChoiceDelta(role="assistant", tool_calls=[call]))
            return
        async for token in written():
            self._send(llm.ChoiceDelta(role="assistant", content=token))

    def _send(self, delta: llm.ChoiceDelta) -> None:
        self._event_ch.send_nowait(llm.ChatChunk(id="scripted", delta=delta))


class Synthesiser(tts.TTS):
    """One request a sentence: the framework's own splitter stands before it."""

    def __init__(self, voice: Voice) -> None:
        capabilities = tts.TTSCapabilities(streaming=False)
        super().__init__(capabilities=capabilities, sample_rate=SPEAK_RATE_HZ, num_channels=1)
        self.voice = voice

    def synthesize(self, text: str, *, conn_options: Any = DEFAULT_API_CONNECT_OPTIONS) -> SynthesiserStream:
        return SynthesiserStream(tts=self, input_text=text, conn_options=conn_options)


class SynthesiserStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid(), sample_rate=SPEAK_RATE_HZ, num_channels=1, mime_type="audio/pcm"
        )
        assert isinstance(self._tts, Synthesiser)
        async for chunk in self._tts.voice.synthesise(self._input_text):
            output_emitter.push(chunk)
        output_emitter.flush()


class SocketInput(AudioInput):
    def __init__(self) -> None:
        super().__init__(label="websocket")
        self.frames: utils.aio.Chan[rtc.AudioFrame] = utils.aio.Chan()

    async def __anext__(self) -> rtc.AudioFrame:
        return await self.frames.__anext__()

    def push(self, pcm: bytes) -> None:
        self.frames.send_nowait(rtc.AudioFrame(pcm, HEAR_RATE_HZ, 1, len(pcm) // 2))


class SocketOutput(AudioOutput):
    """Sends 20 ms at a time on a 20 ms grid, can be paused, and tells how much has been played."""

    def __init__(self, socket: ServerConnection) -> None:
        capabilities = AudioOutputCapabilities(pause=True)
        super().__init__(label="websocket", capabilities=capabilities, sample_rate=SPEAK_RATE_HZ)
        self._socket = socket
        self._pcm = bytearray()
        self._sent_bytes = 0
        self._segment_open = self._segment_whole = self._paused = False
        self._wake = asyncio.Event()
        self.sender = asyncio.create_task(self._send())

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._segment_open:
            self._segment_open, self._segment_whole, self._sent_bytes = True, False, 0
        self._pcm += frame.data.cast("B")
        self._wake.set()

    def flush(self) -> None:
        super().flush()
        self._segment_whole = self._segment_open
        self._wake.set()

    def clear_buffer(self) -> None:
        if self._segment_open:
            self._pcm.clear()
            self._finish(interrupted=True)
            self._clearing = asyncio.ensure_future(self._put('{"type":"clear"}'))

    def pause(self) -> None:
        super().pause()
        self._paused = True

    def resume(self) -> None:
        super().resume()
        self._paused = False
        self._wake.set()

    def _finish(self, *, interrupted: bool) -> None:
        self._segment_open = False
        played_s = self._sent_bytes / 2 / SPEAK_RATE_HZ
        self.on_playback_finished(playback_position=played_s, interrupted=interrupted)

    async def _put(self, data: bytes | str) -> None:
        try:
            await self._socket.send(data)
        except ConnectionClosed:
            self._pcm.clear()

    async def _send(self) -> None:
        due_s = 0.0
        while True:
            ready = len(self._pcm) >= CHUNK_BYTES or (self._pcm and self._segment_whole)
            if self._paused or not ready:
                if self._segment_open and self._segment_whole and not self._pcm and not self._paused:
                    self._finish(interrupted=False)
                    continue
                self._wake.clear()
                await self._wake.wait()
                continue
            chunk = bytes(self._pcm[:CHUNK_BYTES])
            del self._pcm[:CHUNK_BYTES]
            now = time.monotonic()
            due_s = now if now > due_s + 0.1 else due_s
            if not self._sent_bytes:
                self.on_playback_started(created_at=time.time())
            self._sent_bytes += len(chunk)
            await self._put(chunk)
            due_s += CHUNK_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))


class BenchmarkAgent(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are a helpful voice agent.")

    @function_tool
    async def lookup(self, query: str) -> dict[str, int]:
        """Looks something up."""
        await asyncio.sleep(TOOL_S)
        return {"days": 3}


def session(voice: Voice, *, lean: bool) -> AgentSession:
    turns: dict[str, Any] = {"interruption": {"mode": "vad"}}
    further: dict[str, Any] = {}
    if lean:
        turns |= {"turn_detection": "vad", "endpointing": {"min_delay": 0.0}}
        further["vad"] = inference.VAD(min_silence_duration=0.05)
    return AgentSession(
        stt=Recogniser(),
        llm=Model(),
        tts=Synthesiser(voice),
        turn_handling=TurnHandlingOptions(**turns),
        aec_warmup_duration=None,
        user_away_timeout=None,
        **further,
    )


async def run(port: int, *, lean: bool) -> None:
    voice = Voice()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def handle(socket: ServerConnection) -> None:
        agent = session(voice, lean=lean)
        heard, spoken = SocketInput(), SocketOutput(socket)
        agent.input.audio, agent.output.audio = heard, spoken
        await agent.start(BenchmarkAgent(), record=False)
        try:
            async for message in socket:
                if isinstance(message, bytes):
                    heard.push(message)
        except ConnectionClosed:
            pass
        finally:
            heard.frames.close()
            await agent.aclose()
            spoken.sender.cancel()

    async with serve(handle, "127.0.0.1", port, compression=None, ping_interval=None, close_timeout=1):
        await stop.wait()
        os._exit(0)  # its own threads would keep the process for seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int, help="port of 127.0.0.1 to listen on")
    parser.add_argument("--lean", action="store_true", help="the leanest configuration instead of the shipped one")
    args = parser.parse_args()
    logging.basicConfig(level="ERROR")
    logging.getLogger("livekit.agents").setLevel("ERROR")
    if args.lean:
        import uvloop

        uvloop.run(run(args.port, lean=True))
    else:
        asyncio.run(run(args.port, lean=False))


if __name__ == "__main__":
    main()
