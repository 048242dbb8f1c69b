"""The hook of docs/identity.md, run as it is printed."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from voice_agent.models import SecretOutcome
from voice_agent.tools.second_factor import FactorChallenge, SecondFactor, load_second_factor

DOCUMENT = Path(__file__).parents[3] / "docs" / "identity.md"
ANA = "+15559000"


@pytest.fixture
def bank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The printed module, where the document says; the messages it sends are in its ``sent``."""
    (printed,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / "__init__.py").touch()
    (tmp_path / "bank" / "factors.py").write_text(printed)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("bank", "bank.factors"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    load_second_factor("bank.factors:text_messages")
    module = sys.modules["bank.factors"]
    sent: list[tuple[str, str]] = []

    async def send(phone: str, text: str) -> None:
        sent.append((phone, text))

    monkeypatch.setattr(module, "send", send)
    module.sent = sent  # type: ignore[attr-defined]
    return module


async def code_of(factor: SecondFactor, bank: ModuleType, call_id: str) -> str:
    challenge = await factor.begin(ANA, call_id, "en-GB")
    assert isinstance(challenge, FactorChallenge)
    assert challenge.digits in factor.code_lengths
    assert challenge.sentence("en-GB") == "I have sent a code to your phone."
    await asyncio.sleep(0)
    phone, text = bank.sent[-1]
    assert phone == ANA
    return text.removeprefix("Your code is ").removesuffix(".")


async def test_the_printed_hook_sends_a_code_and_takes_it_once_in_its_call(bank: ModuleType) -> None:
    factor: SecondFactor = bank.text_messages
    code = await code_of(factor, bank, "call-1")
    wrong = f"{(int(code) + 1) % 10**6:06}"
    answers = [(await factor.check(ANA, *given)).outcome for given in (("call-1", wrong), ("call-2", code))]
    assert answers == [SecretOutcome.WRONG] * 2
    answers = [(await factor.check(ANA, "call-1", code)).outcome for _ in range(2)]
    assert answers == [SecretOutcome.VERIFIED, SecretOutcome.WRONG]


async def test_its_codes_run_out(bank: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    code = await code_of(bank.text_messages, bank, "call-1")
    later_s = bank.time.monotonic() + 301
    # A clock of the module's own: everybody else's goes on.
    monkeypatch.setattr(bank, "time", SimpleNamespace(monotonic=lambda: later_s))
    assert (await bank.text_messages.check(ANA, "call-1", code)).outcome is SecretOutcome.WRONG


async def test_who_has_no_telephone_needs_none(bank: ModuleType) -> None:
    assert await bank.text_messages.begin("user-7", "call-1", "en-US") is None
    assert not bank.sent
