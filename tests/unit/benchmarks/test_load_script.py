"""The script that servers under load run: a mark that is missed or seen twice would be a wrong figure."""

from __future__ import annotations

import asyncio

import pytest
from benchmarks.load.script import (
    ANSWER,
    FIXED_TOOL_S,
    NORMAL,
    RECOGNISE_S,
    TOKENS,
    TOOL,
    MarkedSpeech,
    mark,
    sentences,
    transcript,
    wants_tool,
)


class Heard:
    def __init__(self) -> None:
        self.begins = 0
        self.partials: list[str] = []
        self.finals: list[str] = []
        self.marks = MarkedSpeech(on_begin=self._began, on_partial=self.partials.append, on_final=self.finals.append)

    def _began(self) -> None:
        self.begins += 1


def utterance(kind: int, number: int) -> bytes:
    noise = bytes([7, 0]) * 24_000
    return mark(True, kind, number) + noise + mark(False, kind, number)


@pytest.mark.parametrize("chunk_bytes", [1, 7, 640, 1024])
async def test_marks_are_found_in_chunks_of_any_size(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    due: list[float] = []

    def at_once(delay_s: float, callback: object, *args: object) -> None:
        due.append(delay_s)
        callback(*args)  # type: ignore[operator]

    monkeypatch.setattr(loop, "call_later", at_once)
    heard = Heard()
    audio = bytes(3001) + utterance(NORMAL, 3) + bytes(641) + utterance(TOOL, 4) + bytes(100)
    for place in range(0, len(audio), chunk_bytes):
        heard.marks.feed(audio[place : place + chunk_bytes])
    assert heard.begins == 2
    assert heard.finals == [transcript(NORMAL, 3), transcript(TOOL, 4)]
    assert due == [RECOGNISE_S, RECOGNISE_S]
    assert len(heard.partials) == 30
    assert all(transcript(NORMAL, 3).startswith(text) for text in heard.partials[:15])


def test_tool_turns_are_known_by_their_words() -> None:
    assert all(wants_tool(transcript(TOOL, number)) for number in range(200))
    assert not any(wants_tool(transcript(NORMAL, number)) for number in range(200))


def test_the_answer_is_forty_words_whose_first_sentence_takes_fifty_milliseconds() -> None:
    assert "".join(TOKENS) == ANSWER
    assert len(TOKENS) == 40
    first = next(place for place, token in enumerate(TOKENS) if token.endswith("."))
    assert first == 5
    assert pytest.approx(0.65) == FIXED_TOOL_S


def test_sentences_are_taken_as_they_are_finished() -> None:
    done: list[str] = []
    rest = ""
    for token in TOKENS:
        more, rest = sentences(rest + token)
        done += more
    assert " ".join(done) == ANSWER
    assert rest == ""
