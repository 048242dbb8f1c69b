"""Human recordings, played in real time through the real WebSocket, are recognised."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import jiwer
import pytest
from tests.hearing import Prompt, plain_words
from tests.integration.calls import a_few_at_once, final_transcript, place_call
from tests.servers import RunningServer

from voice_agent.errors import CallError

COUNT = 54
WER_MAX = 0.07  # of the acceptance list

pytestmark = [pytest.mark.speech, pytest.mark.timeout(900)]


async def test_human_recordings_are_recognised(
    server: RunningServer, prompts: list[Prompt], figure: Callable[[str], None]
) -> None:
    chosen = sorted(prompts, key=lambda prompt: len(prompt.pcm()))[:COUNT]

    async def transcript_of(prompt: Prompt) -> str:
        async with place_call(server, caller_id="") as caller:
            await caller.wait_for_agent_to_finish()
            utterance = await caller.say(prompt.pcm())
            with suppress(CallError):  # what was not understood at all counts as deletions below
                await caller.wait_for_answer(utterance, timeout_s=6)
            return final_transcript(caller)

    heard = await a_few_at_once(transcript_of, chosen)
    wanted_words = [plain_words(prompt.words) for prompt in chosen]
    heard_words = [plain_words(text) for text in heard]
    result = jiwer.process_words(wanted_words, heard_words)
    wrong = [f"{w!r} was heard as {h!r}" for w, h in zip(wanted_words, heard_words, strict=True) if w != h]
    figure(f"word error rate {result.wer:.1%} over {len(chosen)} human recordings")
    assert result.wer <= WER_MAX, "\n".join(wrong)
