"""Reads all groups, and says in one line what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from voice_agent.config.base import SettingsGroup
from voice_agent.config.platform import (
    AgentSettings,
    IdentitySettings,
    KnowledgeSettings,
    MonitoringSettings,
    ShopSettings,
    StoreSettings,
    ToolSettings,
)
from voice_agent.config.providers import (
    AsrSettings,
    CompatibleSettings,
    DeepgramSettings,
    LlmSettings,
    LocalModelSettings,
    OpenAiSettings,
    TtsSettings,
)
from voice_agent.config.server import AdmissionSettings, ServerSettings
from voice_agent.config.turn import TurnSettings
from voice_agent.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups. Built once, by the composition root."""

    server: ServerSettings
    admission: AdmissionSettings
    asr: AsrSettings
    tts: TtsSettings
    llm: LlmSettings
    deepgram: DeepgramSettings
    openai: OpenAiSettings
    compatible: CompatibleSettings
    local_models: LocalModelSettings
    turn: TurnSettings
    agents: AgentSettings
    identity: IdentitySettings
    knowledge: KnowledgeSettings
    tools: ToolSettings
    shop: ShopSettings
    store: StoreSettings
    monitoring: MonitoringSettings

    @property
    def demo_data_wanted(self) -> bool:
        """Demo callers go into the embedded default database, never unasked into one that was configured."""
        if self.server.demo_data is not None:
            return self.server.demo_data
        return not self.store.database_url.get_secret_value()


_GROUPS: dict[str, type[SettingsGroup]] = {
    "server": ServerSettings,
    "admission": AdmissionSettings,
    "asr": AsrSettings,
    "tts": TtsSettings,
    "llm": LlmSettings,
    "deepgram": DeepgramSettings,
    "openai": OpenAiSettings,
    "compatible": CompatibleSettings,
    "local_models": LocalModelSettings,
    "turn": TurnSettings,
    "agents": AgentSettings,
    "identity": IdentitySettings,
    "knowledge": KnowledgeSettings,
    "tools": ToolSettings,
    "shop": ShopSettings,
    "store": StoreSettings,
    "monitoring": MonitoringSettings,
}


def load_settings(env_file: str | Path | None = ".env") -> Settings:
    """Reads the environment, then ``env_file`` for what the environment does not set.

    Raises ``ConfigError`` naming the first bad variable, its value (secrets excepted) and what is allowed.
    """
    groups: dict[str, Any] = {}
    for name, group in _GROUPS.items():
        try:
            groups[name] = group(_env_file=env_file)
        except ValidationError as error:
            raise ConfigError(_one_line(group, error)) from None
    settings = Settings(**groups)
    _check_exposure(settings.server)
    _check_accounts(settings)
    _check_hedging(settings)
    _check_workers(settings.server)
    _check_second_factor(settings.identity)
    if settings.shop.api_url and not settings.shop.api_token.get_secret_value():
        raise ConfigError(
            f"SHOP_API_URL={settings.shop.api_url} needs SHOP_API_TOKEN: set it to the shop's bearer token."
        )
    if settings.store.session_store_url.get_secret_value():
        raise ConfigError("SESSION_STORE_URL is set, but this version keeps sessions in the process: leave it empty.")
    return settings


def _one_line(group: type[SettingsGroup], error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    variable = str(first["loc"][0]) if first["loc"] else group.__name__
    secret = any(f.alias == variable and f.annotation is SecretStr for f in group.model_fields.values())
    shown = "(hidden)" if secret else repr(first.get("input"))
    return f"{variable}={shown} is not valid: {first['msg']}. See .env.example for what it accepts."


def _check_exposure(server: ServerSettings) -> None:
    if server.host not in ("127.0.0.1", "::1", "localhost") and not server.access_token.get_secret_value():
        raise ConfigError(
            f"HOST={server.host!r} listens beyond this machine, so ACCESS_TOKEN must be set: "
            "choose a long random value, or bind to 127.0.0.1."
        )


def _check_accounts(settings: Settings) -> None:
    """A vendor that is selected needs its account: known at the start, not in the first call."""
    for stage in ("asr", "llm", "tts"):
        group: AsrSettings | LlmSettings | TtsSettings = getattr(settings, stage)
        for name in group.provider:
            variable = f"{stage.upper()}_PROVIDER={','.join(group.provider)}"
            if name == "deepgram" and not settings.deepgram.key_known:
                raise ConfigError(f"{variable} needs DEEPGRAM_API_KEY: set it, or choose another provider.")
            if name in ("openai", "openai_realtime") and not settings.openai.key_known:
                raise ConfigError(f"{variable} needs OPENAI_API_KEY: set it, or choose another provider.")
            if name == "compatible" and not settings.compatible.base_url:
                raise ConfigError(f"{variable} needs COMPATIBLE_BASE_URL, as http://127.0.0.1:8001/v1.")


def _check_second_factor(identity: IdentitySettings) -> None:
    key = identity.identity_key.get_secret_value()
    if identity.uses_totp and not key:
        raise ConfigError(
            "SECOND_FACTOR=totp needs IDENTITY_KEY, which seals the secrets in the database: set it to what "
            "'openssl rand -base64 32' prints, and keep it."
        )
    if key and identity.sealing_key is None:
        raise ConfigError(
            "IDENTITY_KEY (hidden) is not 32 bytes in base64: set it to what 'openssl rand -base64 32' prints."
        )
    if identity.second_factor_required and not identity.second_factor:
        raise ConfigError("SECOND_FACTOR_REQUIRED=true needs SECOND_FACTOR: say which, as SECOND_FACTOR=totp.")


def _check_hedging(settings: Settings) -> None:
    for stage in ("asr", "llm", "tts"):
        group: AsrSettings | LlmSettings | TtsSettings = getattr(settings, stage)
        if len(group.provider) > 1 and group.hedge_ms >= group.first_result_ms:
            variable = stage.upper()
            raise ConfigError(
                f"{variable}_HEDGE_MS={group.hedge_ms} is not below {variable}_FIRST_RESULT_MS={group.first_result_ms}, so "
                "that no second provider would ever start beside a late one: lower it, or set it to 0."
            )


def _check_workers(server: ServerSettings) -> None:
    if server.workers > server.max_calls:
        raise ConfigError(
            f"WORKERS={server.workers} is more than MAX_CALLS={server.max_calls}, so that a worker would never take a "
            "call: MAX_CALLS counts the calls of all workers together."
        )


def describe(settings: Settings) -> list[tuple[str, str, str]]:
    """(variable, effective value, meaning) of every setting, secrets masked."""
    rows: list[tuple[str, str, str]] = []
    for group_field in fields(settings):
        group = getattr(settings, group_field.name)
        for name, info in type(group).model_fields.items():
            value = getattr(group, name)
            if isinstance(value, SecretStr):
                shown = "********" if value.get_secret_value() else ""
            elif isinstance(value, tuple):
                shown = ",".join(value)
            else:
                shown = "" if value is None else str(value)
            rows.append((info.alias or name, shown, info.description or ""))
    return rows
