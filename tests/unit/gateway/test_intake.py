"""Input keeps its order and its pace."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.virtual_time import run_virtual

from voice_agent.clock import LoopClock
from voice_agent.gateway.intake import AHEAD_S, BACKLOG_BYTES, CATCH_UP_S, SLICE_S, SPEED, InputBudget, Intake

BYTES_PER_S = 32_000


class TestBudget:
    def test_real_time_never_waits(self) -> None:
        budget = InputBudget(now=0.0)
        for i in range(10_000):
            assert budget.wait_s(i * 0.02) == 0.0
            budget.take(0.02)

    def test_a_burst_runs_ahead_and_then_waits_its_turn(self) -> None:
        budget = InputBudget(now=0.0)
        taken_s, now = 0.0, 0.0
        while taken_s < 30.0:
            now += budget.wait_s(now)
            budget.take(0.1)
            taken_s += 0.1
        assert now == pytest.approx((30.0 - AHEAD_S) / SPEED, abs=0.2)

    def test_silence_earns_a_bounded_catch_up(self) -> None:
        budget = InputBudget(now=0.0)
        taken_s = 0.0
        while budget.wait_s(100.0) == 0.0:
            budget.take(0.1)
            taken_s += 0.1
        assert taken_s == pytest.approx(CATCH_UP_S + AHEAD_S, abs=0.2)


class TestIntake:
    @given(st.lists(st.integers(0, 12_000), max_size=12))
    def test_any_chunking_gives_the_same_samples(self, sizes: list[int]) -> None:
        sent = bytes(i % 251 for i in range(sum(sizes)))

        async def play() -> bytes:
            heard = bytearray()
            intake = Intake(heard.extend, in_rate_hz=16_000, clock=LoopClock())
            async with asyncio.TaskGroup() as group:
                running = group.create_task(intake.run())
                at = 0
                for size in sizes:
                    intake.push(sent[at : at + size])
                    at += size
                await asyncio.sleep(60)
                running.cancel()
            return bytes(heard)

        assert run_virtual(play()) == sent[: len(sent) & ~1]

    def test_a_recording_sent_at_once_is_heard_at_a_bounded_pace_in_small_pieces(self) -> None:
        async def play() -> tuple[list[int], int]:
            pieces: list[int] = []
            intake = Intake(lambda pcm: pieces.append(len(pcm)), in_rate_hz=16_000, clock=LoopClock())
            async with asyncio.TaskGroup() as group:
                running = group.create_task(intake.run())
                intake.push(bytes(20 * BYTES_PER_S))
                await asyncio.sleep(4.0)
                after_4_s = sum(pieces)
                await asyncio.sleep(20.0)
                running.cancel()
            return pieces, after_4_s

        pieces, after_4_s = run_virtual(play())
        assert max(pieces) == BYTES_PER_S * SLICE_S
        assert after_4_s / BYTES_PER_S == pytest.approx(AHEAD_S + 4.0 * SPEED, abs=0.2)
        assert sum(pieces) == 20 * BYTES_PER_S

    def test_too_much_waiting_stops_the_reading(self) -> None:
        async def play() -> tuple[bool, float]:
            intake = Intake(lambda pcm: None, in_rate_hz=16_000, clock=LoopClock())
            async with asyncio.TaskGroup() as group:
                running = group.create_task(intake.run())
                intake.push(bytes(BACKLOG_BYTES))
                room = group.create_task(intake.room())
                done, _ = await asyncio.wait([room], timeout=0.0)
                began = LoopClock().now()
                await room
                waited_s = LoopClock().now() - began
                running.cancel()
            return bool(done), waited_s

        at_once, waited_s = run_virtual(play())
        assert not at_once
        assert waited_s < 1.0

    def test_a_frame_in_real_time_goes_straight_into_the_call(self) -> None:
        async def play() -> list[bytes]:
            heard: list[bytes] = []
            intake = Intake(heard.append, in_rate_hz=16_000, clock=LoopClock())
            intake.push(bytes(640))
            return heard

        assert run_virtual(play()) == [bytes(640)]
