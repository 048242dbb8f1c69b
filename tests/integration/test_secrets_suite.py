"""Secrets by text, once in every place that a caller may say them in; ``benchmarks/secrets_suite.py`` plays it at length."""

from __future__ import annotations

from benchmarks.secrets_suite import PLACES, cases, run


async def test_no_secret_is_in_a_log_or_shown_to_the_model() -> None:
    played = cases(len(PLACES), seed=7)
    found = await run(played, at_once=40)
    assert {case.place: hits for case, hits in zip(played, found, strict=True) if hits} == {}
