"""The alert rules: promtool runs their unit tests, and they name only metrics that this program exposes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from voice_agent.observability.metrics import CallMetrics

MONITORING = Path(__file__).parents[3] / "monitoring"


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("needs promtool (Debian package prometheus; make test installs it, or says how)")
    return found


def run(*command: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=MONITORING, input=text, capture_output=True, text=True, timeout=120
    )


def exposed() -> dict[str, set[str]]:
    """Sample name → names of its labels, as /metrics shows them."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(CallMetrics().render().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_the_rules_are_valid(promtool: str) -> None:
    checked = run(promtool, "check", "rules", "alerts.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_rules_fire_and_keep_still_as_their_tests_say(promtool: str) -> None:
    tested = run(promtool, "test", "rules", "alerts_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "SUCCESS" in tested.stdout


def test_every_alert_is_shown_to_fire() -> None:
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == alerts


def test_rules_and_their_tests_name_only_exposed_metrics_and_labels() -> None:
    names = exposed()
    rules = (MONITORING / "alerts.yml").read_text()
    used = set(re.findall(r"\bvoice_[a-z_]+\b", rules))
    assert used
    assert used <= names.keys()
    for series in re.findall(r"'(voice_[^']*)'", (MONITORING / "alerts_test.yml").read_text()):
        match = re.fullmatch(r"(\w+)\{(.*)\}", series)
        assert match is not None, series
        labels = set(re.findall(r"(\w+)=", match[2])) - {"job", "instance"}
        assert labels == names[match[1]], series


def test_the_alerts_limits_are_bucket_bounds() -> None:
    """A quantile within a bucket is interpolated; a limit that is a bound is told apart exactly."""
    text = CallMetrics().render().decode()
    rules = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    latency = next(group for group in rules["groups"] if group["name"] == "voice-agent-latency")
    limits = [re.fullmatch(r"voice:(\w+):p95_5m > (\d+)", rule["expr"]) for rule in latency["rules"] if "alert" in rule]
    assert len(limits) == 4
    for limit in limits:
        assert limit is not None
        assert f'voice_{limit[1]}_bucket{{le="{limit[2]}.0"}}' in text


def test_the_exposition_is_clean_but_for_the_units_the_contract_fixes(promtool: str) -> None:
    checked = run(promtool, "check", "metrics", text=CallMetrics().render().decode())
    complaints = [
        line
        for line in (checked.stdout + checked.stderr).splitlines()
        if "use base unit" not in line and "abbreviated units" not in line
    ]
    assert complaints == []
