"""Replay: recorded calls give the same commands; every other way a file can be is told plainly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.golden.recorder import SCRIPTS, Script, Utterance, record

from voice_agent.conversation.machine import MachineSettings
from voice_agent.evaluation.replay import ReplayError, replay
from voice_agent.models import Meaning

GOLDEN = Path(__file__).parents[2] / "golden"
Edit = Callable[[list[bytes]], list[bytes]]


def edited(path: Path, edit: Edit) -> Path:
    """The file with its lines changed."""
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join(edit(lines)) + b"\n")
    return path


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "call.jsonl"
    record(SCRIPTS["order_with_pin"], path)
    return path


def number_of(path: Path, name: str) -> int:
    """The line number, from 1, of the first entry of that name."""
    rows = [orjson.loads(row) for row in path.read_bytes().splitlines()]
    return 1 + next(at for at, row in enumerate(rows) if row.get("name") == name)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.jsonl")), ids=lambda path: path.stem)
def test_golden_calls_replay_to_the_same_commands(path: Path) -> None:
    report = replay(path)
    assert report.same, report.text() + "\nIf that is wanted: python -m tests.golden.recorder, and review the diff."
    assert report.commands > 10
    assert report.notes == ()


@pytest.mark.parametrize("name", SCRIPTS)
def test_golden_calls_are_those_that_the_scripts_record(name: str, tmp_path: Path) -> None:
    record(SCRIPTS[name], tmp_path / "now.jsonl")
    assert (tmp_path / "now.jsonl").read_bytes() == (GOLDEN / f"{name}.jsonl").read_bytes()


TIMES = st.floats(0.1, 4.0)
WORDS = st.sampled_from(
    ["Where is my order 83102?", "mm-hmm", "yes please", "wait", "I would like to", "", "call me at +1 415 555 2671"]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.tuples(TIMES, WORDS, st.floats(0.1, 2.0), st.sampled_from(Meaning)), max_size=5),
    hang_up=st.floats(0.0, 40.0),
    max_turns=st.integers(1, 4),
)
def test_any_call_replays(
    tmp_path: Path, pieces: list[tuple[float, str, float, Meaning]], hang_up: float, max_turns: int
) -> None:
    """Odd times, private words, interruptions, hang-ups: whatever is recorded comes out again, bit by bit."""
    at, utterances = 0.0, []
    for gap, text, lasting, meaning in pieces:
        at += gap
        utterances.append(Utterance(at, text, lasting=lasting, meaning=meaning, answer=("Call +1 415 555 2671.",)))
        at += lasting + 0.2
    script = Script(
        utterances, hang_up_at=hang_up, settings=MachineSettings(max_turns=max_turns), caller_id="+15550100"
    )
    path = tmp_path / "any.jsonl"
    records = record(script, path)
    assert b"555 2671" not in path.read_bytes()
    report = replay(path)
    assert report.same, report.text()
    assert report.events + report.commands == len(records)


def test_the_header_settings_are_used(recorded: Path) -> None:
    def shorter_idle(lines: list[bytes]) -> list[bytes]:
        header = orjson.loads(lines[0])
        header["machine"]["endpointing"]["secret_digits"] = 6
        return [orjson.dumps(header), *lines[1:]]

    report = replay(edited(recorded, shorter_idle))
    assert report.difference is not None
    assert report.difference.recorded is not None
    assert report.difference.recorded != report.difference.replayed


def test_a_changed_command_is_shown_with_its_line_and_what_came_before(recorded: Path) -> None:
    number = number_of(recorded, "policy_decision")
    report = replay(edited(recorded, lambda lines: [line.replace(b'"authenticate"', b'"continue"') for line in lines]))
    difference = report.difference
    assert not report.same
    assert difference is not None
    assert difference.line_number == number
    assert '"action":"continue"' in (difference.recorded or "")
    assert '"action":"authenticate"' in (difference.replayed or "")
    assert len(difference.context) == 6
    assert '"turn_understood"' in difference.context[-1]
    text = report.text()
    assert "a DIFFERENCE" in text
    assert f"at line {number}:" in text


def test_a_missing_and_a_surplus_command_are_differences(recorded: Path, tmp_path: Path) -> None:
    at = number_of(recorded, "finalise_transcript") - 1

    def renumbered(lines: list[bytes]) -> list[bytes]:
        rows = [orjson.loads(line) for line in lines[1:]]
        return [lines[0], *(orjson.dumps({**row, "seq": seq}) for seq, row in enumerate(rows))]

    surplus = tmp_path / "surplus.jsonl"
    surplus.write_bytes(recorded.read_bytes())
    missing = replay(edited(recorded, lambda lines: renumbered(lines[:at] + lines[at + 1 :]))).difference
    assert missing is not None
    assert (missing.line_number, missing.recorded) == (at + 1, None)
    assert '"finalise_transcript"' in (missing.replayed or "")

    extra = replay(edited(surplus, lambda lines: renumbered(lines[: at + 1] + lines[at:]))).difference
    assert extra is not None
    assert (extra.line_number, extra.replayed) == (at + 2, None)
    assert '"finalise_transcript"' in (extra.recorded or "")


@pytest.mark.parametrize("keep", [0.25, 0.5, 0.75, 0.999])
def test_a_cut_last_line_is_noted_and_the_rest_compared(recorded: Path, keep: float) -> None:
    data = recorded.read_bytes()
    cut = data[: int(len(data) * keep)]
    if cut.endswith(b"\n"):
        cut = cut[:-1]
    recorded.write_bytes(cut)
    report = replay(recorded)
    assert report.same, report.text()
    number = cut.count(b"\n") + 1
    assert f"line {number} is cut off: the process ended while writing it" in report.notes
    assert any("no call_end" in note for note in report.notes)


def test_every_whole_line_prefix_of_a_killed_call_replays(recorded: Path, tmp_path: Path) -> None:
    lines = recorded.read_bytes().splitlines(keepends=True)
    path = tmp_path / "prefix.jsonl"
    for count in range(1, len(lines)):
        path.write_bytes(b"".join(lines[:count]))
        report = replay(path)
        assert report.same, report.text()
        assert report.notes


def test_a_gap_ends_the_comparison_and_is_noted(recorded: Path) -> None:
    report = replay(edited(recorded, lambda lines: lines[:40] + lines[43:]))
    assert report.same
    assert any("lines were lost before line 41 (number 42 follows 38)" in note for note in report.notes)


def test_a_header_field_of_another_version_is_told(recorded: Path) -> None:
    def foreign(lines: list[bytes]) -> list[bytes]:
        header = orjson.loads(lines[0])
        header["machine"]["warp_speed"] = 9
        return [orjson.dumps(header), *lines[1:]]

    with pytest.raises(
        ReplayError, match=r"line 1: the machine's settings are not those of this version.*'warp_speed'"
    ):
        replay(edited(recorded, foreign))


HEADER: dict[str, Any] = {"kind": "header", "schema": 1, "version": "1", "machine": {}}


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([], r"is empty"),
        ([b"not json"], r"line 1 is not JSON"),
        ([b"[1]"], r"line 1 is not a JSON object"),
        ([b'{"seq":0}'], r"line 1: an event log begins with a header line"),
        ([{**HEADER, "schema": 99}], r"line 1: the log has schema 99, this version reads 1"),
        ([{"kind": "header", "schema": 1}], r"line 1: the header lacks"),
        ([HEADER, b"garbage"], r"line 2 is not JSON .*'garbage'"),
        ([HEADER, b"\xff\xfe"], r"line 2 is not JSON"),
        ([HEADER, b""], r"line 2 is not JSON"),
        ([HEADER, {"seq": 0, "t": 0.0, "kind": "event"}], r"line 2: 'name' is missing"),
        ([HEADER, {"seq": 0, "t": 0.0, "kind": ["event"], "name": "timer"}], r"line 2: 'kind' or 'name' is no text"),
        ([HEADER, {"seq": "0", "t": 0.0, "kind": "event", "name": "timer"}], r"line 2: 'seq' or 't' is no number"),
        ([HEADER, {"seq": 0, "t": None, "kind": "event", "name": "timer"}], r"line 2: 'seq' or 't' is no number"),
        ([HEADER, {"seq": 0, "t": 0.0, "kind": "event", "name": "rain"}], r"line 2: no event is called 'rain'"),
        (
            [HEADER, {"seq": 0, "t": 0.0, "kind": "event", "name": "hung_up"}],
            r"line 2: hung_up lacks the field 'reason'",
        ),
        (
            [HEADER, {"seq": 0, "t": 0.0, "kind": "command", "name": "discard_secret"}],
            r"line 2: a call begins with an event, not with the command 'discard_secret'",
        ),
    ],
)
def test_a_file_that_is_no_event_log_is_told_by_line(
    tmp_path: Path, rows: list[bytes | dict[str, Any]], complaint: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b"".join((row if isinstance(row, bytes) else orjson.dumps(row)) + b"\n" for row in rows))
    with pytest.raises(ReplayError, match=complaint):
        replay(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"none.jsonl cannot be read: No such file"):
        replay(tmp_path / "none.jsonl")


def test_another_caller_id_changes_nothing_but_itself(tmp_path: Path) -> None:
    """The caller's number is masked in the file, and the replay, which never sees it, still agrees."""
    script = replace(SCRIPTS["interrupted_and_handed_over"], caller_id="+14155552671")
    record(script, tmp_path / "call.jsonl")
    text = (tmp_path / "call.jsonl").read_text()
    assert "4155552671" not in text
    assert text.count('"caller_id":"[PHONE]"') == 2  # the start and the handover's packet
    assert replay(tmp_path / "call.jsonl").same
