"""Playout on virtual time: pacing, lead, pauses, cancellation, acknowledgements, and what counts as heard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest
from tests.virtual_time import run_virtual

from voice_agent.call.door import SPEAK_RATE_HZ
from voice_agent.call.playout import BUFFER_S, CHUNK_BYTES, CHUNK_S, Playout
from voice_agent.clock import LoopClock
from voice_agent.conversation.events import PlayoutAdvanced, PlayoutStarted, ReplyFinished
from voice_agent.models import ReplyId
from voice_agent.observability.lateness import LatenessWindow

ONE = ReplyId(1)
TWO = ReplyId(2)
LEAD_S = 0.08


def pcm(seconds: float) -> bytes:
    return b"\x01\x00" * int(SPEAK_RATE_HZ * seconds)


def seconds(byte_count: int) -> float:
    return byte_count / (SPEAK_RATE_HZ * 2)


class RecordingDoor:
    """A far side that takes every chunk, or none while it is ``stalled`` or ``gone``, and notes when each came."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, int]] = []
        self.stalled = self.gone = False

    def send_audio(self, chunk: bytes) -> bool:
        if self.gone:
            raise ConnectionError("the far side is gone")
        if not self.stalled:
            self.sent.append((asyncio.get_running_loop().time(), len(chunk)))
        return not self.stalled

    def clear(self, reply_id: ReplyId) -> None:
        raise AssertionError("clearing is the session's business")

    @property
    def total_s(self) -> float:
        return seconds(sum(size for _, size in self.sent))


Scene = Callable[[Playout, RecordingDoor, list[object]], Awaitable[None]]


def playout_to(door: RecordingDoor, post: Callable[[Any], None], **more: Any) -> Playout:
    options = {"on_lost": lambda: None, "lateness": LatenessWindow()} | more
    return Playout(door, LoopClock(), post, lead_s=LEAD_S, **options)


def play(scene: Scene) -> tuple[RecordingDoor, list[object]]:
    door, events = RecordingDoor(), list[object]()

    async def main() -> None:
        playout = playout_to(door, events.append)
        await scene(playout, door, events)
        playout.close()

    run_virtual(main())
    return door, events


def test_audio_never_runs_further_ahead_than_the_lead() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, pcm(2.0))
        playout.complete(ONE)
        await asyncio.sleep(3)

    door, events = play(scene)
    origin = door.sent[0][0]
    sent_s = 0.0
    for at, size in door.sent:
        sent_s += seconds(size)
        assert sent_s - (at - origin) <= LEAD_S + CHUNK_S + 1e-6
        assert at <= origin + sent_s, "a chunk came after its own moment"
    assert door.total_s == pytest.approx(2.0)
    assert events[0] == PlayoutStarted(ONE)
    assert events[-1] == ReplyFinished(ONE, pytest.approx(2.0))


def test_a_reply_is_finished_only_when_its_end_has_been_heard() -> None:
    finished_at = 0.0

    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        nonlocal finished_at
        playout.begin(ONE)
        await playout.write(ONE, pcm(1.0))
        playout.complete(ONE)
        start = asyncio.get_running_loop().time()
        for _ in range(300):
            if any(isinstance(event, ReplyFinished) for event in events):
                break
            await asyncio.sleep(0.01)
        finished_at = asyncio.get_running_loop().time() - start

    play(scene)
    assert finished_at == pytest.approx(1.0, abs=0.03)


def test_cancelling_stops_at_once_and_tells_what_was_heard() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, pcm(3.0))
        await asyncio.sleep(1.0)
        assert playout.cancel(ONE) == pytest.approx(1.0, abs=CHUNK_S)
        before = door.total_s
        await playout.write(ONE, pcm(1.0))
        playout.complete(ONE)
        await asyncio.sleep(2.0)
        assert door.total_s == before
        assert not any(isinstance(event, ReplyFinished) for event in events)

    play(scene)


def test_a_reply_that_is_let_go_and_held_back_in_one_breath_is_not_heard() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE, held=True)
        await playout.write(ONE, pcm(1.0))
        playout.unpause(ONE)  # its turn is certain,
        playout.pause(ONE)  # but the caller speaks again
        await asyncio.sleep(0.5)
        assert not door.sent
        assert not events
        playout.unpause(ONE)
        await asyncio.sleep(0.5)
        assert door.sent

    play(scene)


def test_a_pause_holds_the_rest_and_resuming_goes_on_where_it_stopped() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, pcm(1.0))
        playout.complete(ONE)
        await asyncio.sleep(0.5)
        playout.pause(ONE)
        await asyncio.sleep(0.5)
        held = door.total_s
        assert held <= 0.5 + LEAD_S + CHUNK_S + 1e-6
        assert playout.heard_s() == pytest.approx(held), "what was sent is heard to its end during the pause"
        await asyncio.sleep(5)
        assert door.total_s == held
        playout.unpause(ONE)
        await asyncio.sleep(1.0)
        assert door.total_s == pytest.approx(1.0)
        assert any(isinstance(event, ReplyFinished) for event in events)

    play(scene)


def sound_with_a_dip(dip_at_s: float) -> bytes:
    """A second of steady sound, but for one quiet chunk."""
    chunks = [b"\x00\x20" * (CHUNK_BYTES // 2)] * round(1.0 / CHUNK_S)
    chunks[round(dip_at_s / CHUNK_S)] = b"\x01\x00" * (CHUNK_BYTES // 2)
    return b"".join(chunks)


def test_resuming_may_repeat_from_where_a_sound_began_and_counts_it_once() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, sound_with_a_dip(0.46))
        playout.complete(ONE)
        await asyncio.sleep(0.5)
        playout.pause(ONE)
        await asyncio.sleep(0.5)
        sent_s = door.total_s
        playout.unpause(ONE, rewind_s=0.24)
        await asyncio.sleep(0.001)
        assert playout.heard_s() == pytest.approx(sent_s), "what was heard stays heard"
        await asyncio.sleep(0.2)
        playout.acknowledge(ONE, door.total_s)
        assert playout.heard_s() <= 1.0
        await asyncio.sleep(1.0)
        assert door.total_s == pytest.approx(1.0 + sent_s - 0.46), "from the dip on"
        assert events[-1] == ReplyFinished(ONE, pytest.approx(1.0))

    play(scene)


def test_everything_sent_is_told_with_the_time_at_which_it_is_heard() -> None:
    told: list[tuple[float, bytes]] = []

    async def main() -> None:
        door = RecordingDoor()
        playout = playout_to(door, lambda event: None, played=lambda *at: told.append(at))
        playout.begin(ONE)
        await playout.write(ONE, pcm(0.5))
        playout.complete(ONE)
        await asyncio.sleep(1)
        origin = door.sent[0][0]
        assert [at - origin for at, _ in told] == pytest.approx([n * CHUNK_S for n in range(len(door.sent))])

    run_virtual(main())
    assert b"".join(chunk for _, chunk in told) == pcm(0.5)


def test_late_synthesis_moves_the_origin_instead_of_bursting() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, pcm(0.2))
        await asyncio.sleep(2.0)
        before = asyncio.get_running_loop().time()
        await playout.write(ONE, pcm(1.0))
        await asyncio.sleep(0.2)
        burst = seconds(sum(size for at, size in door.sent if at >= before))
        assert burst <= 0.2 + LEAD_S + CHUNK_S + 1e-6

    play(scene)


def test_a_slow_far_side_is_caught_up_with() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, pcm(1.0))
        playout.complete(ONE)
        door.stalled = True
        await asyncio.sleep(0.06)
        door.stalled = False
        await asyncio.sleep(0.7)
        assert door.total_s >= 0.7

    play(scene)


def test_writing_waits_while_the_buffer_is_full_and_stops_waiting_when_cancelled() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, pcm(BUFFER_S + 1))
        writing = asyncio.create_task(playout.write(ONE, pcm(1.0)))
        await asyncio.sleep(0.1)
        assert not writing.done()
        playout.cancel(ONE)
        await asyncio.wait_for(writing, 1.0)

    play(scene)


def test_acknowledgements_correct_what_was_heard() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, pcm(3.0))
        await asyncio.sleep(0.1)
        playout.acknowledge(ONE, 0.0)
        await asyncio.sleep(1.0)
        playout.acknowledge(ONE, 0.8)
        assert playout.heard_s() == pytest.approx(1.0, abs=0.25)
        await asyncio.sleep(0.5)
        assert playout.heard_s() == pytest.approx(1.3, abs=0.05)
        playout.acknowledge(ONE, 99.0)
        assert playout.heard_s() <= door.total_s

    _, events = play(scene)
    assert PlayoutAdvanced(ONE, 0.8, acknowledged=True) in events


def test_a_new_reply_replaces_the_old_one() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, pcm(2.0))
        await asyncio.sleep(0.3)
        playout.begin(TWO)
        await playout.write(ONE, pcm(2.0))
        await playout.write(TWO, pcm(0.4))
        playout.complete(TWO)
        await asyncio.sleep(2.0)
        assert [e for e in events if isinstance(e, ReplyFinished)] == [ReplyFinished(TWO, pytest.approx(0.4))]

    play(scene)


def test_a_far_side_that_is_gone_is_told_of_once() -> None:
    losses: list[str] = []

    async def main() -> None:
        door = RecordingDoor()
        playout = playout_to(door, lambda event: None, on_lost=lambda: losses.append("lost"))
        playout.begin(ONE)
        await playout.write(ONE, pcm(1.0))
        door.gone = True
        await asyncio.sleep(1)
        await playout.write(ONE, pcm(1.0))
        await asyncio.sleep(1)

    run_virtual(main())
    assert losses == ["lost"]


def test_a_chunk_is_late_by_what_it_left_after_its_time_and_late_synthesis_does_not_count() -> None:
    class Counting:
        late_s: ClassVar[list[float]] = []

        def record(self, late_s: float) -> None:
            self.late_s.append(late_s)

    async def main() -> None:
        door = RecordingDoor()
        playout = playout_to(door, lambda event: None, lateness=Counting())
        playout.begin(ONE)
        for _ in range(10):
            await playout.write(ONE, pcm(0.3))
            await asyncio.sleep(0.6)  # slower than speech: each piece has a gap behind it
        playout.close()

    run_virtual(main())
    assert max(Counting.late_s) <= 0.002


def test_a_client_that_resumes_gets_no_burst() -> None:
    async def scene(playout: Playout, door: RecordingDoor, events: list[object]) -> None:
        playout.begin(ONE)
        await playout.write(ONE, pcm(3.0))
        await asyncio.sleep(0.5)
        door.stalled = True
        await asyncio.sleep(1.0)
        door.stalled = False
        await asyncio.sleep(0.1)
        playout.resume_client()
        mark, before = asyncio.get_running_loop().time(), door.total_s
        await asyncio.sleep(0.2)
        assert door.total_s - before <= 0.2 + LEAD_S + CHUNK_S + 1e-6
        assert mark

    play(scene)
