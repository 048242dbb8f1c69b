"""The stand-ins as a user starts them, and with the local models behind them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI

from voice_agent.audio.frames import rms
from voice_agent.dev_vendors.desk import VendorDesk
from voice_agent.dev_vendors.engines import open_engines
from voice_agent.dev_vendors.server import running_vendors

_DEADLINE_S = 60
_TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": name,
            "parameters": {"type": "object", "properties": {argument: {"type": "string"}}},
        },
    }
    for name, argument in (("order_status", "order_id"), ("knowledge_base", "query"), ("transfer_to_human", "reason"))
]


async def test_the_command_prints_what_to_paste_and_what_it_is_asked(tmp_path: Path) -> None:
    program = [str(Path(sys.executable).with_name("voice-agent")), "dev-vendors", "--port", "0", "--script", "Fine."]
    process = await asyncio.create_subprocess_exec(
        *program, "--fault", "tts=quota", stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=os.environ
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(_DEADLINE_S):
            printed = (await process.stdout.readuntil(b"What comes in:\n")).decode()
            settings = dict(re.findall(r"^export (\w+)=(\S+)$", printed, re.MULTILINE))
            async with AsyncOpenAI(
                base_url=settings["OPENAI_BASE_URL"], api_key=settings["OPENAI_API_KEY"], max_retries=0
            ) as sdk:
                answer = await sdk.chat.completions.create(
                    model="gpt-4o", messages=[{"role": "user", "content": "Hello"}]
                )
            lines = [(await process.stdout.readline()).decode() for _ in range(2)]
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
            complaints = await process.stderr.read()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert answer.choices[0].message.content == "Fine."
    assert settings["ASR_PROVIDER"] == "deepgram,local"
    assert settings["DEEPGRAM_URL"].startswith("http://127.0.0.1:")
    assert "tts=quota" in printed
    assert "POST /v1/chat/completions" in lines[0]
    assert re.search(r"answered in \d+ ms, first content after \d+ ms", lines[1])
    assert complaints == b""


async def test_the_built_in_model_and_voice_answer_over_the_vendors_protocol() -> None:
    async with (
        asyncio.timeout(_DEADLINE_S),
        open_engines() as engines,
        running_vendors(VendorDesk(engines)) as vendors,
        AsyncOpenAI(base_url=vendors.openai_base_url, api_key=vendors.desk.key, max_retries=0) as sdk,
    ):
        dialogue: list[Any] = [
            {"role": "system", "content": "You are the telephone assistant of a shop."},
            {"role": "user", "content": "Where is my order 83102?"},
        ]
        asked = await sdk.chat.completions.create(model="gpt-4o", messages=dialogue, tools=_TOOLS)
        message = asked.choices[0].message
        assert asked.choices[0].finish_reason == "tool_calls"
        call = (message.tool_calls or [])[0]
        assert call.type == "function"
        assert call.function.name == "order_status"
        assert "83102" in call.function.arguments
        order = '{"order_id": "83102", "status": "shipped", "carrier": "Northline", "total": 41.5, "currency": "EUR"}'
        dialogue += [
            message.model_dump(exclude_none=True),
            {
                "role": "tool",
                "tool_call_id": call.id,
                "content": f'{{"status": "ok", "data": {{"orders": [{order}]}}}}',
            },
        ]
        stream = await sdk.chat.completions.create(model="gpt-4o", messages=dialogue, tools=_TOOLS, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert "shipped" in text or "on its way" in text
        async with sdk.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="alloy", input=text, response_format="pcm"
        ) as answer:
            pcm = await answer.read()
    words = len(text.split())
    assert words / 5 < len(pcm) / 48_000 < words  # between one and five words a second
    assert rms(pcm) > 0.02  # speech, not silence
