from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from voice_agent.providers.tts.cache import CachingSynthesizer


class Scripted:
    """Says each character as two samples; counts what it is asked, and knows whether a stream was closed."""

    sample_rate_hz = 24_000

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.closed = 0
        self.warm = False

    async def warm_up(self) -> None:
        self.warm = True

    async def synthesize(self, text: str, *, locale: str) -> AsyncIterator[bytes]:
        self.asked.append((locale, text))
        try:
            for char in text:
                yield char.encode() * 4
        finally:
            self.closed += 1


async def heard(synthesizer: CachingSynthesizer, text: str, locale: str = "en-US") -> list[bytes]:
    return [chunk async for chunk in synthesizer.synthesize(text, locale=locale)]


async def test_prepared_phrases_are_synthesised_once() -> None:
    inner = Scripted()
    cache = CachingSynthesizer(inner)
    await cache.warm_up()
    await cache.prepare(["hi", "bye", "hi"], locale="en-US")
    assert inner.warm
    assert inner.asked == [("en-US", "hi"), ("en-US", "bye")]
    assert await heard(cache, "hi") == [b"hhhh", b"iiii"]
    assert await heard(cache, "hi") == [b"hhhh", b"iiii"]
    assert len(inner.asked) == 2
    assert cache.holds("bye", locale="en-US")
    assert cache.sample_rate_hz == 24_000


async def test_other_texts_and_locales_are_not_kept() -> None:
    inner = Scripted()
    cache = CachingSynthesizer(inner)
    await cache.prepare(["hi"], locale="en-US")
    await heard(cache, "hi", "en-GB")
    await heard(cache, "your balance")
    await heard(cache, "your balance")
    assert inner.asked == [("en-US", "hi"), ("en-GB", "hi"), ("en-US", "your balance"), ("en-US", "your balance")]
    assert not cache.holds("your balance", locale="en-US")
    assert cache.held_bytes == 8


async def test_memory_is_bounded_oldest_first() -> None:
    inner = Scripted()
    cache = CachingSynthesizer(inner, max_bytes=20)
    await cache.prepare(["aa", "bb", "cc", "too long to keep"], locale="en-US")
    assert [cache.holds(text, locale="en-US") for text in ("aa", "bb", "cc", "too long to keep")] == [
        False,
        True,
        True,
        False,
    ]
    assert cache.held_bytes == 16
    assert await heard(cache, "aa") == [b"aaaa", b"aaaa"]


async def test_closing_closes_the_inner_stream() -> None:
    inner = Scripted()
    cache = CachingSynthesizer(inner)
    stream = cache.synthesize("hello", locale="en-US")
    assert await anext(stream) == b"hhhh"
    await stream.aclose()  # type: ignore[attr-defined]
    assert inner.closed == 1


async def test_failures_pass_through_and_nothing_is_kept() -> None:
    class Failing(Scripted):
        async def synthesize(self, text: str, *, locale: str) -> AsyncIterator[bytes]:
            yield b"aa"
            raise RuntimeError("gone")

    cache = CachingSynthesizer(Failing())
    with pytest.raises(RuntimeError, match="gone"):
        await cache.prepare(["hi"], locale="en-US")
    assert not cache.holds("hi", locale="en-US")
    assert cache.held_bytes == 0
