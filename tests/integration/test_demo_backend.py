"""``voice-agent demo-backend`` as a user runs it: a process, its settings pasted into a client, its data after a restart."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from voice_agent.cli import main as cli
from voice_agent.config import ShopSettings
from voice_agent.errors import ProviderError, ProviderFault
from voice_agent.providers.web import WebClient
from voice_agent.store.records import OrderStatus
from voice_agent.tools.backend_client import Refusal, ShopClient

DANA = "+15550100"
_PROGRAM = str(Path(sys.executable).with_name("voice-agent"))
pytestmark = pytest.mark.timeout(120)


def _environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "STATE_DIR": str(folder / "state"), "PYTHONUNBUFFERED": "1", **settings}


@contextmanager
def running(folder: Path, *arguments: str, **settings: str) -> Iterator[tuple[dict[str, str], str]]:
    """What it says to paste, and everything it said until it was ready."""
    process = subprocess.Popen(
        [_PROGRAM, "demo-backend", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=_environment(folder, **settings),
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line)
            if line.startswith("# Ctrl-C"):
                break
        text = "".join(said)
        assert "# Ctrl-C" in text, text
        yield dict(re.findall(r"^export (\w+)=(\S+)", text, re.MULTILINE)), text
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert [line for line in rest.splitlines() if "the shop was asked" not in line] == []


def settings_of(pasted: dict[str, str], token: str = "") -> ShopSettings:
    return ShopSettings.model_construct(
        api_url=pasted["SHOP_API_URL"], api_token=SecretStr(token or pasted["SHOP_API_TOKEN"]), api_timeout_ms=5000
    )


async def test_what_it_prints_works_and_what_was_written_stays(tmp_path: Path) -> None:
    web = WebClient()
    with running(tmp_path) as (pasted, said):
        assert re.search(r"^# \d{3} callers, \d{3} orders in .*shop\.db", said)
        client = ShopClient(web, settings_of(pasted))
        assert [order.order_id for order in await client.orders_of(DANA)] == ["83240", "83102", "83117"]
        assert not isinstance(await client.cancel(DANA, "83240", {}, idempotency_key="call-1:1"), Refusal)
        await web.aclose()
    flags = ("--fault", "delivery=server_error")
    with running(tmp_path, *flags, SHOP_API_TOKEN="chosen-by-the-operator") as (pasted, said):
        assert "chosen-by-the-operator" not in said
        assert "/dev/faults/" in said
        web = WebClient()
        client = ShopClient(web, settings_of(pasted, "chosen-by-the-operator"))
        order = await client.order(DANA, "83240")
        assert order is not None
        assert order.status is OrderStatus.CANCELLED
        # The key outlives the process too.
        assert not isinstance(await client.cancel(DANA, "83240", {}, idempotency_key="call-1:1"), Refusal)
        again = await client.cancel(DANA, "83240", {}, idempotency_key="call-2:1")
        assert isinstance(again, Refusal)
        assert again.code == "already_cancelled"
        with pytest.raises(ProviderError) as failed:
            await client.delivery(DANA, "83102")
        assert failed.value.category is ProviderFault.INTERNAL
        await web.aclose()


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (("--fault", "delivery=explode"), {}, "'delivery=explode' is no fault"),
        (("--host", "0.0.0.0"), {}, "SHOP_API_TOKEN must be set"),
        ((), {"SHOP_DATABASE_URL": "nonsense"}, "is not a database URL"),
        ((), {"SHOP_API_URL": "http://127.0.0.1:9200"}, "needs SHOP_API_TOKEN"),
        ((), {"SHOP_API_URL": "ftp://shop"}, "SHOP_API_URL='ftp://shop' is not valid"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path,
    arguments: tuple[str, ...],
    settings: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {"STATE_DIR": str(tmp_path / "state"), **settings}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["voice-agent", "demo-backend", "--port", "0", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
