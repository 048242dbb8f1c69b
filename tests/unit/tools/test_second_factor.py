"""How second factors are found, and how their guard counts; hooks that fail stand in ``tests/unit/call``."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.unit.store.conftest import WallClock, store_settings

from voice_agent.app.services import second_factor
from voice_agent.clock import LoopClock
from voice_agent.config import IdentitySettings, ToolSettings, load_settings
from voice_agent.errors import ConfigError
from voice_agent.models import SecretOutcome
from voice_agent.store.database import Database, open_database
from voice_agent.store.tries import TryCount
from voice_agent.tools.second_factor import FactorChallenge, FactorResult, GuardedSecondFactor, load_second_factor

ANA = "+15559000"
MODULE = """
from voice_agent.tools.second_factor import FactorChallenge, FactorResult
from voice_agent.models import SecretOutcome

class Sms:
    code_lengths = frozenset({6})
    async def begin(self, caller_id, call_id, locale):
        return FactorChallenge(6)
    async def check(self, caller_id, call_id, code):
        return FactorResult(SecretOutcome.WRONG)

class Blocking(Sms):
    def check(self, caller_id, call_id, code):
        return FactorResult(SecretOutcome.VERIFIED)

class Long(Sms):
    code_lengths = frozenset({6, 9})

class Listed(Sms):
    code_lengths = [6]

class Holder:
    inner = Sms()

sms, blocking, long, listed = Sms(), Blocking(), Long(), Listed()
number = 6
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package: a module on the path, and an entry point that names its object."""
    name = "bank_factors"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / "broken_factors.py").write_text("raise RuntimeError('no network')")
    about = tmp_path / "bank_factors-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bank-factors\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[voice_agent.second_factor]\nbank = {name}:sms\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


@pytest.mark.parametrize("name", ["bank_factors:sms", "bank_factors:Holder.inner", "bank"])
def test_an_object_is_found_by_module_and_attribute_or_by_its_entry_point(module: str, name: str) -> None:
    assert load_second_factor(name).code_lengths == {6}


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bank_factors:Sms", "must be an object"),
        ("bank_factors:number", "must be an object with 'async def begin"),
        ("bank_factors:blocking", "must be an object with 'async def check"),
        ("bank_factors:long", "code_lengths"),
        ("bank_factors:listed", "must be a frozenset"),
        ("bank_factors:nothing", "AttributeError"),
        ("bank_factors:", "AttributeError"),
        ("no_such_module:sms", "ModuleNotFoundError"),
        ("broken_factors:sms", "RuntimeError: no network"),
        ("unknown", "use module:attribute, or one of totp, bank"),
        (":", "cannot be loaded"),
    ],
)
def test_anything_else_stops_the_start_with_one_line(module: str, name: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as stopped:
        load_second_factor(name)
    assert f"SECOND_FACTOR={name!r}" in str(stopped.value)
    assert "\n" not in str(stopped.value)


class Hook:
    """Says what it is told to say."""

    code_lengths = frozenset({6})

    def __init__(self) -> None:
        self.challenge: FactorChallenge | None = FactorChallenge(6)
        self.results: list[FactorResult] = []
        self.asked = 0

    async def begin(self, caller_id: str, call_id: str, locale: str) -> FactorChallenge | None:
        return self.challenge

    async def check(self, caller_id: str, call_id: str, code: str) -> FactorResult:
        self.asked += 1
        return self.results.pop(0) if self.results else FactorResult(SecretOutcome.WRONG)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(store_settings(), tmp_path) as opened:
        yield opened


def guarded(hook: Hook, database: Database, *, required: bool = False) -> GuardedSecondFactor:
    clock = WallClock()
    identity = IdentitySettings.model_construct(second_factor="x", second_factor_required=required)
    tools = ToolSettings.model_construct(cb_failure_threshold=2, cb_recovery_s=60)
    return GuardedSecondFactor(hook, TryCount(database, identity, clock), identity, tools, clock)


async def test_wrong_codes_lock_and_a_locked_caller_is_not_compared(database: Database) -> None:
    hook = Hook()
    factor = guarded(hook, database)
    answers = [await factor.check("+1 (555) 9000", "c", "111111") for _ in range(5)]
    assert answers == [(SecretOutcome.WRONG, 2), (SecretOutcome.WRONG, 1), *[(SecretOutcome.LOCKED, 0)] * 3]
    assert hook.asked == 3
    assert await guarded(hook, database).check(ANA, "c2", "111111") == (SecretOutcome.LOCKED, 0)


async def test_a_hook_may_allow_fewer_tries_never_more(database: Database) -> None:
    hook = Hook()
    factor = guarded(hook, database)
    hook.results = [
        FactorResult(SecretOutcome.WRONG, 9),
        FactorResult(SecretOutcome.WRONG, 0),
        FactorResult(SecretOutcome.LOCKED),
    ]
    assert await factor.check(ANA, "c", "111111") == (SecretOutcome.WRONG, 2)
    assert await factor.check(ANA, "c", "111111") == (SecretOutcome.LOCKED, 0)
    assert await factor.check("+15559001", "c", "111111") == (SecretOutcome.LOCKED, 0)


async def test_a_right_code_forgets_the_wrong_ones(database: Database) -> None:
    hook = Hook()
    factor = guarded(hook, database)
    await factor.check(ANA, "c", "111111")
    await factor.check(ANA, "c", "111111")
    hook.results = [FactorResult(SecretOutcome.VERIFIED)]
    assert await factor.check(ANA, "c", "222222") == (SecretOutcome.VERIFIED, 3)
    assert await factor.check(ANA, "c", "111111") == (SecretOutcome.WRONG, 2)


async def test_what_a_hook_did_not_compare_costs_no_try(database: Database) -> None:
    hook = Hook()
    factor = guarded(hook, database)
    hook.results = [FactorResult(SecretOutcome.UNAVAILABLE)]
    assert await factor.check(ANA, "c", "111111") == (SecretOutcome.UNAVAILABLE, 0)
    assert await factor.check(ANA, "c", "111111") == (SecretOutcome.WRONG, 2)


async def test_a_caller_without_one_is_verified_or_refused_as_the_setting_says(database: Database) -> None:
    hook = Hook()
    hook.challenge = None
    assert await guarded(hook, database).begin(ANA, "c", "en-US") is SecretOutcome.VERIFIED
    assert await guarded(hook, database, required=True).begin(ANA, "c", "en-US") is SecretOutcome.REFUSED


async def test_where_no_code_is_needed_the_pin_forgets_the_wrong_tries(database: Database) -> None:
    hook = Hook()
    factor = guarded(hook, database)
    await factor.check(ANA, "c", "111111")
    hook.challenge = None
    await factor.begin(ANA, "c", "en-US")
    assert await factor.check(ANA, "c", "111111") == (SecretOutcome.WRONG, 2)


async def test_a_hook_that_keeps_failing_is_not_asked_for_a_while(database: Database) -> None:
    hook = Hook()
    factor = guarded(hook, database)
    hook.results = [FactorResult(SecretOutcome.UNAVAILABLE)] * 2
    for _ in range(4):
        assert await factor.check(ANA, "c", "111111") == (SecretOutcome.UNAVAILABLE, 0)
    assert hook.asked == 2
    assert await factor.begin(ANA, "c", "en-US") is SecretOutcome.UNAVAILABLE


async def test_a_database_that_fails_verifies_nobody(database: Database) -> None:
    hook = Hook()
    hook.challenge = None
    hook.results = [FactorResult(SecretOutcome.VERIFIED)]
    factor = guarded(hook, database)
    async with database.begin() as connection:
        await connection.exec_driver_sql("DROP TABLE pin_attempts")
    assert await factor.begin(ANA, "c", "en-US") is SecretOutcome.UNAVAILABLE
    assert await factor.check(ANA, "c", "111111") == (SecretOutcome.UNAVAILABLE, 0)
    assert not hook.asked


async def test_an_exception_that_quotes_the_code_is_logged_by_its_kind_alone(database: Database) -> None:
    class Quoting(Hook):
        async def check(self, caller_id: str, call_id: str, code: str) -> FactorResult:
            raise ValueError(f"{code} is not what I sent")

    with capture_logs() as logged:
        assert await guarded(Quoting(), database).check(ANA, "c", "905316") == (SecretOutcome.UNAVAILABLE, 0)
    assert [(entry["step"], entry["error"], entry["detail"]) for entry in logged] == [("check", "ValueError", "")]
    assert "905316" not in repr(logged)


@pytest.mark.parametrize(
    ("name", "lengths"), [("", None), ("totp", frozenset({6})), ("bank_factors:sms", frozenset({6}))]
)
async def test_the_setting_chooses_one_for_the_platform(
    module: str, database: Database, monkeypatch: pytest.MonkeyPatch, name: str, lengths: frozenset[int] | None
) -> None:
    monkeypatch.setenv("SECOND_FACTOR", name)
    monkeypatch.setenv("IDENTITY_KEY", "A" * 42 + "8=")
    chosen = second_factor(load_settings(None), database, LoopClock())
    assert (chosen.code_lengths if chosen else None) == lengths
