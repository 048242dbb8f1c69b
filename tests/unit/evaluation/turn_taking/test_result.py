"""Results: figures by family, the JSON and back, the comparison with a baseline, the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.evaluation.turn_taking.timelines import act, call

from voice_agent.errors import ConfigError
from voice_agent.evaluation.turn_taking import result as results
from voice_agent.evaluation.turn_taking.page import page, write_page
from voice_agent.evaluation.turn_taking.result import ALL, BASELINE, RunSettings, differences, judge, read_result
from voice_agent.evaluation.turn_taking.summary import METRICS
from voice_agent.evaluation.turn_taking.timeline import CallTimeline, Kind, Mark

SETTINGS = RunSettings(("ordinary", "noises"), quick=False, parallel=1, seed=1, human_recordings=True)


def ordinary(latency_s: float) -> CallTimeline:
    turns = [act(Kind.TURN, 10.0 * n + 1.0, 10.0 * n + 2.0, label=f"question {n} <b>") for n in range(8)]
    agent = tuple((10.0 * n + 2.0 + latency_s + 0.01 * n, 10.0 * n + 6.0) for n in range(8))
    return call(*turns, agent=agent, ends_s=90.0, family="ordinary")


def noises(stopped: int) -> CallTimeline:
    sounds = [act(Kind.NOISE, 10.0 * n + 3.0, 10.0 * n + 3.3, label="cough & co") for n in range(8)]
    agent = tuple((10.0 * n + 1.0, 10.0 * n + (3.5 if n < stopped else 8.0)) for n in range(8))
    marks = tuple((10.0 * n + 3.5, Mark.STOP) for n in range(stopped))
    return call(*sounds, agent=agent, marks=marks, ends_s=90.0, family="noises")


def body(latency_s: float = 0.4, stopped: int = 0) -> dict[str, object]:
    return results.as_json(judge([ordinary(latency_s), noises(stopped)], [], SETTINGS))


def test_figures_are_by_family_and_overall() -> None:
    result = judge([ordinary(0.4), noises(2)], [], SETTINGS)
    assert set(result.families) == {ALL, "ordinary", "noises"}
    assert result.families["ordinary"]["response_latency_p50"].value == pytest.approx(435, abs=1)
    assert result.families["noises"]["selectivity_noise"].value == pytest.approx(0.75)
    assert result.families[ALL]["selectivity_noise"].n == 8
    assert result.families["ordinary"]["selectivity_noise"].n == 0
    assert result.families[ALL]["selectivity_mean"].n == 0, "a mean of three needs all three"
    assert result.panel_ticks["selectivity_noise"].value == pytest.approx(0.75)


def test_json_holds_every_act_and_a_baseline_the_figures_only(tmp_path: Path) -> None:
    written = body()
    json.dumps(written, allow_nan=False)
    assert len(written["acts"]) == 16  # type: ignore[arg-type]
    path = tmp_path / "baseline.json"
    results.save_baseline(written, path)
    kept = read_result(path)
    assert "acts" not in kept
    assert kept["families"] == written["families"]
    assert len(differences(written, kept)) == len(differences(written, written))


def test_the_same_run_differs_in_nothing() -> None:
    found = differences(body(), body())
    assert found
    assert not any(difference.beyond for difference in found)


def test_a_figure_differs_when_each_lies_outside_of_the_others_interval() -> None:
    by_key = {(d.family, d.metric.key): d for d in differences(body(0.8, stopped=7), body(0.4))}
    slower = by_key["ordinary", "response_latency_p50"]
    assert (slower.beyond, slower.better) == (True, False)
    worse = by_key["noises", "selectivity_noise"]
    assert (worse.beyond, worse.better) == (True, False)
    faster = {(d.family, d.metric.key): d for d in differences(body(0.4), body(0.8))}
    assert faster["ordinary", "response_latency_p50"].better
    one = {(d.family, d.metric.key): d for d in differences(body(0.4, stopped=1), body(0.4))}
    assert not one["noises", "selectivity_noise"].beyond, "one of eight may be chance"


def test_all_calls_are_compared_only_where_both_runs_were_composed_alike() -> None:
    now, other = body(0.8), body(0.4) | {"settings": {"families": ["noises"]}}
    assert {d.family for d in differences(now, other)} == {"ordinary", "noises"}
    assert ALL in {d.family for d in differences(now, body(0.4))}


def test_a_handful_of_trials_is_not_compared() -> None:
    few = results.as_json(judge([noises(0)], [], SETTINGS))
    few["families"]["noises"]["selectivity_noise"]["n"] = 3
    assert ("noises", "selectivity_noise") not in {(d.family, d.metric.key) for d in differences(few, few)}
    assert ("noises", "held_p50") in {(d.family, d.metric.key) for d in differences(few, few)}


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_result(tmp_path / "none.json")
    for text, message in (("{", "no JSON"), ("{}", "no result"), ('{"schema": 99, "families": {}}', "no result")):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_result(tmp_path / "x.json")


def test_the_committed_baseline_can_be_read_and_has_known_figures_only() -> None:
    baseline = read_result(BASELINE)
    known = {metric.key for metric in METRICS}
    assert ALL in baseline["families"]
    for some in baseline["families"].values():
        assert set(some) <= known


def test_the_page_shows_what_went_wrong_and_escapes_what_was_said(tmp_path: Path) -> None:
    calls = [ordinary(0.4), noises(2)]
    result = judge(calls, [], SETTINGS)
    text = page(result, calls, body())
    assert text.count("stopped the agent") == 2
    assert "cough &amp; co" in text
    assert "<b>" not in text
    assert "src=" not in text, "the page needs nothing beside itself"
    write_page(tmp_path / "page.html", result, calls, None)
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_page(tmp_path / "no" / "page.html", result, calls, None)
