"""Fixtures for everybody: real servers, spoken callers, human recordings. In CI a skipped test is a failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest
from tests.hearing import PROMPT_FOLDER, Prompt, human_prompts
from tests.servers import RunningServer, running_server
from tests.speech import synthesise

# CI judges a change, not the luck of a draw: there each property is tried on the same examples every time.
hypothesis.settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

Say = Callable[..., bytes]


class StartServer(Protocol):
    """Starts a server with these settings, for one test."""

    def __call__(self, settings: Mapping[str, str] | None = None) -> RunningServer: ...


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The one server that tests share: default settings, demo data. Ask for another where a test changes it."""
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Servers with settings of their own, stopped at the end of the test."""
    with ExitStack() as stack:
        count = 0

        def start(settings: Mapping[str, str] | None = None) -> RunningServer:
            nonlocal count
            count += 1
            return stack.enter_context(running_server(tmp_path / f"server-{count}", settings))

        yield start


@pytest.fixture(scope="session")
def speech() -> Say:
    """``speech(text, voice="heart", rate_hz=16000)``: what a test caller says, as PCM."""

    def say(text: str, voice: str = "heart", rate_hz: int = 16_000) -> bytes:
        return synthesise(text, voice, rate_hz=rate_hz)[0]

    return say


@pytest.fixture(scope="session")
def prompts() -> list[Prompt]:
    """Transcribed human recordings."""
    if not PROMPT_FOLDER.is_dir():
        pytest.skip("needs Debian's asterisk-core-sounds-en-wav (make test installs it, or says how)")
    return human_prompts()


_FIGURE = "figure"


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """``figure("word error rate 3 %")``: a measured figure, shown at the end of the run whether the test passes or not."""

    def note(line: str) -> None:
        request.node.user_properties.append((_FIGURE, line))  # goes with the report, from whatever process

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = (report for found in terminalreporter.stats.values() for report in found)
    calls = (report for report in reports if getattr(report, "when", "") == "call")
    if figures := [line for report in calls for name, line in report.user_properties if name == _FIGURE]:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(line)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """CI has everything the tests need, so there a skip hides a hole."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") != "true" or reporter is None:
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and session.exitstatus == 0:
        reporter.write_line("")
        reporter.write_line(f"CI: {len(skipped)} skipped tests count as a failure", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
