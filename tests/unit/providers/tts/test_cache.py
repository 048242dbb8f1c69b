"""Fixed phrases: made once, kept in memory and on disk, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from voice_agent.clock import LoopClock
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.chain.base import Link, StageDeadlines, breaker, unreported
from voice_agent.providers.chain.speech import SynthesizerChain
from voice_agent.providers.phrase_files import PhraseFiles
from voice_agent.providers.tts.cache import CachingSynthesizer


class Scripted:
    """Says each character as two samples; counts what it is asked, and knows whether a stream was closed."""

    sample_rate_hz = 24_000

    def __init__(self, *, fails: int = 0, fails_after: int = 0) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fails = fails
        self.fails_after = fails_after
        self.closed = 0
        self.warm = False

    async def warm_up(self) -> None:
        self.warm = True

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        self.asked.append((locale, text))
        try:
            for at, char in enumerate(text):
                if self.fails and at >= self.fails_after:
                    self.fails -= 1
                    raise ProviderError("gone", category=ProviderFault.NETWORK, retryable=False)
                yield char.encode() * 4
        finally:
            self.closed += 1


def chain(*voices: Scripted) -> SynthesizerChain:
    links = [Link(f"voice{number}", voice, breaker(LoopClock())) for number, voice in enumerate(voices)]
    return SynthesizerChain(links, StageDeadlines(first_s=5, gap_s=5), LoopClock())


def cache_of(*voices: Scripted, files: PhraseFiles | None = None, max_bytes: int = 16 * 2**20) -> CachingSynthesizer:
    return CachingSynthesizer(chain(*voices), files, max_bytes)


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def heard(synthesizer: CachingSynthesizer, text: str, locale: str = "en-US") -> bytes:
    chunks = synthesizer.synthesize(text, locale=locale, report=unreported)
    return b"".join([chunk async for chunk in chunks])


async def test_prepared_phrases_are_synthesised_once() -> None:
    inner = Scripted()
    cache = cache_of(inner)
    await cache.warm_up()
    await cache.prepare(["hi", "bye", "hi"], locale="en-US")
    assert inner.warm
    assert inner.asked == [("en-US", "hi"), ("en-US", "bye")]
    assert await heard(cache, "hi") == b"hhhhiiii"
    assert cache.prepared("hi", locale="en-US") == b"hhhhiiii"
    assert cache.prepared("no", locale="en-US") == b""
    assert len(inner.asked) == 2
    assert cache.holds("bye", locale="en-US")
    assert cache.sample_rate_hz == 24_000


async def test_other_texts_and_locales_are_not_kept(tmp_path: Path) -> None:
    inner = Scripted()
    cache = cache_of(inner, files=PhraseFiles(tmp_path, "voice", 10_000))
    await cache.prepare(["hi"], locale="en-US")
    await heard(cache, "hi", "en-GB")
    await heard(cache, "your balance")
    await heard(cache, "your balance")
    assert inner.asked == [("en-US", "hi"), ("en-GB", "hi"), ("en-US", "your balance"), ("en-US", "your balance")]
    assert not cache.holds("your balance", locale="en-US")
    assert cache.held_bytes == 8
    assert len(files_in(tmp_path)) == 1


async def test_memory_is_bounded_oldest_first() -> None:
    cache = cache_of(Scripted(), max_bytes=20)
    await cache.prepare(["aa", "bb", "cc", "too long to keep"], locale="en-US")
    held = [cache.holds(text, locale="en-US") for text in ("aa", "bb", "cc", "too long to keep")]
    assert held == [False, True, True, False]
    assert cache.held_bytes == 16
    assert await heard(cache, "aa") == b"aaaaaaaa"


async def test_closing_closes_the_inner_stream() -> None:
    inner = Scripted()
    async with aclosing(cache_of(inner).synthesize("hello", locale="en-US", report=unreported)) as stream:
        assert await anext(stream) == b"hhhh"
    assert inner.closed == 1


async def test_failures_pass_through_and_nothing_is_kept() -> None:
    cache = cache_of(Scripted(fails=1, fails_after=1))
    with pytest.raises(ProviderError, match="gone"):
        await cache.prepare(["hi"], locale="en-US")
    assert not cache.holds("hi", locale="en-US")
    assert cache.held_bytes == 0


async def test_a_restart_finds_the_phrases_on_disk(tmp_path: Path) -> None:
    files = PhraseFiles(tmp_path / "phrases", "voice", 10_000)
    await cache_of(Scripted(), files=files).prepare(["hi", "bye"], locale="en-US")
    later = Scripted()
    cache = cache_of(later, files=files)
    await cache.prepare(["hi", "bye"], locale="en-US")
    assert later.asked == []
    assert await heard(cache, "bye") == b"bbbbyyyyeeee"


async def test_another_voice_locale_or_text_has_files_of_its_own(tmp_path: Path) -> None:
    await cache_of(Scripted(), files=PhraseFiles(tmp_path, "voice", 10_000)).prepare(["hi"], locale="en-US")
    for voice, locale, text in (("other", "en-US", "hi"), ("voice", "en-GB", "hi"), ("voice", "en-US", "hi!")):
        inner = Scripted()
        await cache_of(inner, files=PhraseFiles(tmp_path, voice, 10_000)).prepare([text], locale=locale)
        assert len(inner.asked) == 1


@pytest.mark.parametrize("fails_after", [0, 1])
async def test_a_backups_voice_stays_in_memory_until_the_preferred_one_is_back(
    tmp_path: Path, fails_after: int
) -> None:
    preferred, backup = Scripted(fails=1, fails_after=fails_after), Scripted()
    files = PhraseFiles(tmp_path, "voice", 10_000)
    cache = cache_of(preferred, backup, files=files)
    await cache.prepare(["hi"], locale="en-US")
    assert cache.holds("hi", locale="en-US")
    assert files_in(tmp_path) == []
    await cache.prepare(["hi"], locale="en-US")
    assert (len(preferred.asked), len(backup.asked)) == (2, 1)
    assert files.read("hi", "en-US") == b"hhhhiiii"
    assert cache.held_bytes == 8


def test_files_are_private_and_whole(tmp_path: Path) -> None:
    files = PhraseFiles(tmp_path / "phrases", "voice", 10_000)
    files.write("hi", "en-US", b"pcm!")
    (path,) = (tmp_path / "phrases").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert files.read("hi", "en-US") == b"pcm!"


@pytest.mark.parametrize("damage", [b"", b"VAP1", b"VAP1\xff\xff\xff\xff", "truncated", "flipped"])
def test_a_damaged_file_is_as_none_and_goes(tmp_path: Path, damage: bytes | str) -> None:
    files = PhraseFiles(tmp_path, "voice", 10_000)
    files.write("hi", "en-US", b"some audio")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    if isinstance(damage, bytes):
        path.write_bytes(damage)
    else:
        path.write_bytes(whole[:-1] + (b"" if damage == "truncated" else b"\x00"))
    assert files.read("hi", "en-US") is None
    assert files_in(tmp_path) == []


def test_files_that_may_only_be_read_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    files = PhraseFiles(tmp_path, "voice", 10_000)
    files.write("hi", "en-US", b"hhhh")
    monkeypatch.setattr(os, "utime", refuse)
    assert files.read("hi", "en-US") == b"hhhh"


def test_the_disk_is_bounded_and_the_longest_unused_goes_first(tmp_path: Path) -> None:
    files = PhraseFiles(tmp_path, "voice", 3 * 1_024 + 100)
    for age, text in enumerate(("oldest", "older", "new")):
        files.write(text, "en-US", bytes(1_000))
        for path in tmp_path.iterdir():
            if path.stat().st_mtime > 1_000_000_000:
                os.utime(path, (age + 1, age + 1))
    assert files.read("oldest", "en-US") is not None  # used now
    files.write("newest", "en-US", bytes(1_000))
    kept = [text for text in ("oldest", "older", "new", "newest") if files.read(text, "en-US") is not None]
    assert kept == ["oldest", "new", "newest"]
    files.write("huge", "en-US", bytes(5_000))
    assert len(files_in(tmp_path)) == 3


def test_what_a_dead_process_left_unfinished_is_cleared_away(tmp_path: Path) -> None:
    files = PhraseFiles(tmp_path, "voice", 10_000)
    stale, fresh = tmp_path / "a.unfinished", tmp_path / "b.unfinished"
    for path in (stale, fresh):
        path.write_bytes(b"x")
    os.utime(stale, (1, 1))
    files.write("hi", "en-US", b"pcm!")
    assert (stale.exists(), fresh.exists()) == (False, True)


async def test_a_disk_that_refuses_costs_nothing_but_the_file(tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_bytes(b"no folder")
    inner = Scripted()
    cache = cache_of(inner, files=PhraseFiles(blocked, "voice", 10_000))
    await cache.prepare(["hi"], locale="en-US")
    assert await heard(cache, "hi") == b"hhhhiiii"


async def test_two_that_prepare_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    caches = [cache_of(Scripted(), files=PhraseFiles(tmp_path, "voice", 10_000)) for _ in range(2)]
    await asyncio.gather(*(cache.prepare(["hi"], locale="en-US") for cache in caches))
    assert len(files_in(tmp_path)) == 1
    assert PhraseFiles(tmp_path, "voice", 10_000).read("hi", "en-US") == b"hhhhiiii"


async def test_another_voice_has_phrases_of_its_own_also_on_disk(tmp_path: Path) -> None:
    files = PhraseFiles(tmp_path, "speaker", 10_000)
    inner = Scripted()
    cache = cache_of(inner, files=files)
    await cache.prepare(["hi"], locale="en-US", voice="nova")
    assert cache.holds("hi", locale="en-US", voice="nova")
    assert not cache.holds("hi", locale="en-US")
    again = cache_of(Scripted(), files=files)
    await again.prepare(["hi"], locale="en-US", voice="nova")
    assert (
        again.prepared("hi", locale="en-US", voice="nova") == cache.prepared("hi", locale="en-US", voice="nova") != b""
    )
    assert files.read("hi", "en-US") is None


async def test_pinned_phrases_stay_and_released_ones_go_first() -> None:
    cache = cache_of(Scripted(), max_bytes=32)
    await cache.prepare(["aa", "bb", "cc"], locale="en-US")
    await cache.prepare(["aa"], locale="en-US", pinned=True)
    cache.release("cc", locale="en-US")
    await cache.prepare(["dd", "ee"], locale="en-US")
    assert held_by(cache, "aa", "bb", "cc", "dd", "ee") == "aa bb dd ee"
    await cache.prepare(["ff", "more than fits"], locale="en-US")
    assert held_by(cache, "aa", "bb", "dd", "ee", "ff", "more than fits") == "aa dd ee ff"
    cache.release("aa", locale="en-US")
    await cache.prepare(["gg"], locale="en-US")
    assert held_by(cache, "aa", "dd", "ee", "ff", "gg") == "dd ee ff gg"
    assert cache.held_bytes == 32


async def test_what_is_pinned_leaves_the_rest_of_memory_to_others() -> None:
    cache = cache_of(Scripted(), max_bytes=20)
    await cache.prepare(["aa", "bb", "cc"], locale="en-US", pinned=True)
    assert held_by(cache, "aa", "bb", "cc") == "aa bb", "prepared first, needed most"
    await cache.prepare(["x", "y", "dd"], locale="en-US")
    assert held_by(cache, "aa", "bb", "x", "y", "dd") == "aa bb y"


def held_by(cache: CachingSynthesizer, *texts: str) -> str:
    return " ".join(text for text in texts if cache.holds(text, locale="en-US"))


class OneVoice(Scripted):
    """Refuses every voice but its usual one."""

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        if voice:
            raise ProviderError("no such voice", category=ProviderFault.PROTOCOL, retryable=False)
        async for chunk in super().synthesize(text, locale=locale):
            yield chunk


async def test_the_usual_voice_is_not_filed_under_the_name_of_one_that_was_refused(tmp_path: Path) -> None:
    files = PhraseFiles(tmp_path, "voice", 10_000)
    cache = cache_of(OneVoice(), files=files)
    await cache.prepare(["hi", "bye"], locale="en-US", voice="nobody")
    assert cache.holds("bye", locale="en-US", voice="nobody")
    assert [files.read(text, "en-US", "nobody") for text in ("hi", "bye")] == [None, None]
    assert files.read("hi", "en-US") == b"hhhhiiii"
