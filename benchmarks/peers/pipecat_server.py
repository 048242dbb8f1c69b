"""Pipecat with the script of ``load/``; runs in the environment that ``peers/setup.py`` made.

As shipped: FastAPI transport, Silero, the local smart-turn model, metrics, 40 ms of audio a message. Leanest (``--lean``):
Silero only begins turns, their end comes from the recogniser, 20 ms of audio a message, uvloop, without the metrics and
observers that can be turned off.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import uvicorn
from fastapi import FastAPI, WebSocket
from load.script import FIRST_TOKEN_S, RECOGNISE_S, SPEAK_RATE_HZ, TOOL_S, MarkedSpeech, Voice, wants_tool, written
from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterimTranscriptionFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    OutputAudioRawFrame,
    ProposedUserStoppedSpeakingFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection
from pipecat.serializers.base_serializer import FrameSerializer
from pipecat.services.llm_service import FunctionCallFromLLM, FunctionCallParams, LLMService
from pipecat.services.settings import LLMSettings, STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_start import TranscriptionUserTurnStartStrategy, VADUserTurnStartStrategy
from pipecat.turns.user_stop import ExternalUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner


class PlainAudio(FrameSerializer):
    """Binary messages are audio; an interruption tells the client to drop what it holds."""

    async def serialize(self, frame: Frame) -> str | bytes | None:
        if isinstance(frame, OutputAudioRawFrame):
            return frame.audio
        return '{"type":"clear"}' if isinstance(frame, InterruptionFrame) else None

    async def deserialize(self, data: str | bytes) -> Frame | None:
        if isinstance(data, bytes):
            return InputAudioRawFrame(audio=data, sample_rate=16_000, num_channels=1)
        return None


class Recogniser(STTService):
    """Built like a streaming one: audio goes out, a task of its own brings transcripts in."""

    def __init__(self, *, ends_turns: bool) -> None:
        super().__init__(ttfs_p99_latency=RECOGNISE_S, settings=STTSettings(model="scripted", language=None))
        self._ends_turns = ends_turns
        self._marks: MarkedSpeech | None = None
        self._texts: asyncio.Queue[tuple[str, bool]] = asyncio.Queue()
        self._receiver: Any = None

    def can_generate_metrics(self) -> bool:
        return True

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        self._marks = MarkedSpeech(
            on_begin=lambda: None,
            on_partial=lambda text: self._texts.put_nowait((text, False)),
            on_final=lambda text: self._texts.put_nowait((text, True)),
        )
        if self._receiver is None:
            self._receiver = self.create_task(self._receive())

    async def cleanup(self) -> None:
        await super().cleanup()
        if self._receiver is not None:
            await self.cancel_task(self._receiver)
            self._receiver = None

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        assert self._marks is not None
        self._marks.feed(audio)
        yield None

    async def _receive(self) -> None:
        while True:
            text, final = await self._texts.get()
            if not final:
                await self.push_frame(InterimTranscriptionFrame(text, "", time_now_iso8601()))
                continue
            await self.push_frame(TranscriptionFrame(text, "", time_now_iso8601(), finalized=True))
            if self._ends_turns:
                await self.broadcast_frame(ProposedUserStoppedSpeakingFrame)


class Model(LLMService):
    def __init__(self) -> None:
        unset = dict.fromkeys(
            (
                "system_instruction",
                "temperature",
                "max_tokens",
                "top_p",
                "top_k",
                "frequency_penalty",
                "presence_penalty",
            )
        )
        settings = LLMSettings(
            model="scripted", seed=None, filter_incomplete_user_turns=False, user_turn_completion_config=None, **unset
        )
        super().__init__(settings=settings)

    def can_generate_metrics(self) -> bool:
        return True

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await self.push_frame(LLMFullResponseStartFrame())
        await self.start_processing_metrics()
        try:
            await self._answer(frame.context)
        finally:
            await self.stop_processing_metrics()
            await self.push_frame(LLMFullResponseEndFrame())

    async def _answer(self, context: LLMContext) -> None:
        await self.start_ttfb_metrics()
        newest = [message for message in context.get_messages() if isinstance(message, dict)]
        after_tool = bool(newest) and newest[-1].get("role") == "tool"
        if wants_tool(_last_words(newest)) and not after_tool:
            await asyncio.sleep(FIRST_TOKEN_S)
            await self.stop_ttfb_metrics()
            call = FunctionCallFromLLM(
                context=context,
                tool_call_id=f"call-{len(newest)}",
                function_name="lookup",
                arguments={"query": "delivery"},
            )
            await self.run_function_calls([call])
            return
        begun = False
        async for token in written():
            if not begun:
                begun = True
                await self.stop_ttfb_metrics()
            await self._push_llm_text(token)


def _last_words(messages: list[dict[str, Any]]) -> str:
    content = next((message["content"] for message in reversed(messages) if message.get("role") == "user"), "")
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


class Synthesiser(TTSService):
    def __init__(self, voice: Voice) -> None:
        super().__init__(
            sample_rate=SPEAK_RATE_HZ,
            push_start_frame=True,
            push_stop_frames=True,
            settings=TTSSettings(model="scripted", voice="scripted", language=None),
        )
        self._script = voice

    def can_generate_metrics(self) -> bool:
        return True

    async def run_tts(self, text: str, context_id: str) -> AsyncGenerator[Frame | None, None]:
        begun = False
        async for chunk in self._script.synthesise(text):
            if not begun:
                begun = True
                await self.stop_ttfb_metrics()
            yield TTSAudioRawFrame(chunk, SPEAK_RATE_HZ, 1, context_id=context_id)


async def _lookup(params: FunctionCallParams) -> None:
    await asyncio.sleep(TOOL_S)
    await params.result_callback({"days": 3})


def application(*, lean: bool) -> FastAPI:
    app = FastAPI()
    voice = Voice()
    schema = FunctionSchema(
        name="lookup", description="Looks something up.", properties={"query": {"type": "string"}}, required=["query"]
    )
    tools = ToolsSchema(standard_tools=[schema])

    @app.websocket("/ws/call")
    async def call(websocket: WebSocket) -> None:
        await websocket.accept()
        params = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=PlainAudio())
        if lean:
            params.audio_out_10ms_chunks = 2
        transport = FastAPIWebsocketTransport(websocket=websocket, params=params)
        model = Model()
        model.register_function("lookup", _lookup)
        messages = [{"role": "system", "content": "You are a helpful voice agent."}]
        aggregators = LLMContextAggregatorPair(
            LLMContext(messages=messages, tools=tools), user_params=_turns(lean=lean)
        )
        user, assistant = aggregators
        parts = [Recogniser(ends_turns=lean), user, model, Synthesiser(voice)]
        pipeline = Pipeline([transport.input(), *parts, transport.output(), assistant])
        unneeded: dict[str, Any] = {"enable_rtvi": False, "enable_turn_tracking": False, "idle_timeout_secs": None}
        metrics = PipelineParams(enable_metrics=not lean, enable_usage_metrics=not lean)
        worker = PipelineWorker(pipeline, params=metrics, **(unneeded if lean else {}))
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)

        @transport.event_handler("on_client_disconnected")
        async def gone(_transport: Any, _client: Any) -> None:
            await runner.cancel()

        await runner.run()

    return app


def _turns(*, lean: bool) -> LLMUserAggregatorParams:
    if not lean:
        return LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    return LLMUserAggregatorParams(
        vad_analyzer=SileroVADAnalyzer(),
        user_turn_strategies=UserTurnStrategies(
            start=[VADUserTurnStartStrategy(), TranscriptionUserTurnStartStrategy()],
            stop=[ExternalUserTurnStopStrategy()],
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int, help="port of 127.0.0.1 to listen on")
    parser.add_argument("--lean", action="store_true", help="the leanest configuration instead of the shipped one")
    args = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    uvicorn.run(
        application(lean=args.lean),
        host="127.0.0.1",
        port=args.port,
        log_level="warning",
        ws="websockets-sansio" if args.lean else "auto",
        ws_per_message_deflate=False,
        loop="uvloop" if args.lean else "asyncio",
    )


if __name__ == "__main__":
    main()
