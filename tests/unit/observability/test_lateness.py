"""The window of lateness: percentiles to the millisecond, and old seconds forgotten."""

from __future__ import annotations

import pytest

from voice_agent.observability.lateness import SLOTS, LatenessWindow


def test_a_percentile_is_within_a_millisecond() -> None:
    window = LatenessWindow()
    for late_ms in range(100):
        window.record(late_ms / 1000 + 0.0005)
    assert window.percentile_s(0.5) == pytest.approx(0.050)
    assert window.percentile_s(0.99) == pytest.approx(0.099)


def test_what_leaves_in_time_or_early_is_not_late() -> None:
    window = LatenessWindow()
    window.record(-0.5)
    window.record(0.0004)
    assert window.percentile_s(1.0) == 0.0


def test_too_few_chunks_say_nothing() -> None:
    window = LatenessWindow()
    assert window.percentile_s(0.99) is None
    window.record(0.2)
    assert window.percentile_s(0.99, at_least=2) is None
    assert window.percentile_s(0.99) == pytest.approx(0.201)


def test_a_chunk_counts_until_its_slot_is_dropped() -> None:
    window = LatenessWindow()
    window.record(7.0)
    for _ in range(SLOTS - 1):
        window.turn()
        assert window.percentile_s(0.99) == pytest.approx(0.256)
    window.turn()
    assert window.percentile_s(0.99) is None
