"""Settings that make no sense stop the start with one line."""

from __future__ import annotations

import pytest

from voice_agent.config import load_settings
from voice_agent.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"WORKERS": "0"}, "WORKERS='0' is not valid"),
        ({"WORKERS": "two"}, "WORKERS='two' is not valid"),
        ({"WORKERS": "9", "MAX_CALLS": "8"}, "WORKERS=9 is more than MAX_CALLS=8"),
        ({"BUSY_ANSWER": "music"}, "BUSY_ANSWER='music' is not valid"),
        (
            {"OPENAI_API_KEY": "x", "LLM_PROVIDER": "openai,builtin", "LLM_HEDGE_MS": "1500"},
            "LLM_HEDGE_MS=1500 is not below",
        ),
        ({"ASR_PROVIDER": "deepgram"}, "ASR_PROVIDER=deepgram needs DEEPGRAM_API_KEY"),
        ({"TTS_PROVIDER": "compatible,local"}, "TTS_PROVIDER=compatible,local needs COMPATIBLE_BASE_URL"),
        ({"SECOND_FACTOR": "totp"}, "SECOND_FACTOR=totp needs IDENTITY_KEY"),
        ({"IDENTITY_KEY": "hunter2"}, r"IDENTITY_KEY \(hidden\) is not 32 bytes in base64"),
        ({"SECOND_FACTOR_REQUIRED": "true"}, "SECOND_FACTOR_REQUIRED=true needs SECOND_FACTOR"),
        ({"SECOND_FACTOR_TIMEOUT_MS": "5"}, "SECOND_FACTOR_TIMEOUT_MS='5' is not valid"),
        ({"ADMISSION_MAX_LOOP_LAG_MS": "0"}, "ADMISSION_MAX_LOOP_LAG_MS='0' is not valid"),
    ],
)
def test_nonsense_is_refused(settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message):
        load_settings(None)
