"""Identity, knowledge, tools, stores and monitoring."""

from __future__ import annotations

import base64
from pathlib import Path

from pydantic import Field, SecretStr

from voice_agent.config.base import NameList, SettingsGroup


class IdentitySettings(SettingsGroup):
    """PINs, a second factor, and lock-out."""

    pin_digits: int = Field(4, alias="PIN_DIGITS", description="digits of a PIN", ge=4, le=12)
    pin_max_attempts: int = Field(
        3, alias="PIN_MAX_ATTEMPTS", description="wrong tries before the lock-out, across calls", ge=1
    )
    pin_lockout_s: float = Field(900, alias="PIN_LOCKOUT_S", description="length of the lock-out", ge=1)
    second_factor: str = Field(
        "",
        alias="SECOND_FACTOR",
        description=(
            "what must prove a caller after the PIN: totp, module:attribute, or an entry point's name; empty: nothing; see "
            "docs/identity.md"
        ),
    )
    second_factor_required: bool = Field(
        False,
        alias="SECOND_FACTOR_REQUIRED",
        description="true: callers who have no second factor are handed over; false: their PIN is enough",
    )
    second_factor_timeout_ms: int = Field(
        2000, alias="SECOND_FACTOR_TIMEOUT_MS", description="time of each of its steps", ge=100, le=10_000
    )
    identity_key: SecretStr = Field(
        SecretStr(""),
        alias="IDENTITY_KEY",
        description="seals the secrets of totp in the database: what openssl rand -base64 32 prints, 32 random bytes",
    )

    @property
    def uses_totp(self) -> bool:
        """Whether the second factor is the one that is built in."""
        return self.second_factor == "totp"

    @property
    def sealing_key(self) -> bytes | None:
        """``IDENTITY_KEY`` as bytes; None where it is empty or no key."""
        written = self.identity_key.get_secret_value().strip().translate(_URL_SAFE)
        try:
            key = base64.b64decode(written, validate=True)
        except ValueError:
            return None
        return key if len(key) == _KEY_BYTES else None


_KEY_BYTES = 32
_URL_SAFE = str.maketrans("-_", "+/")


class KnowledgeSettings(SettingsGroup):
    """The knowledge base."""

    enabled: bool = Field(True, alias="ENABLE_RAG", description="false: no knowledge base")
    collection: str = Field("voice_kb", alias="CHROMA_COLLECTION", description="name of the collection", min_length=3)
    embedding_model: str = Field(
        "all-MiniLM-L6-v2", alias="EMBEDDING_MODEL", description="its confidence is calibrated for this model"
    )
    grounding: bool = Field(
        True,
        alias="GROUNDING_GATE",
        description="speak amounts, dates, periods, numbers and order states only if the call's tool results have them",
    )
    confidence_threshold: float = Field(
        0.6, alias="CONFIDENCE_THRESHOLD", description="below it a knowledge-base answer is not used", ge=0, le=1
    )
    allowed_hosts: NameList = Field(
        (),
        alias="KB_ALLOWED_HOSTS",
        description=(
            "hosts that documents may be fetched from over https, comma-separated; .example.com stands for all below it; "
            "private addresses only where the address or its network (10.0.0.0/8) is listed too"
        ),
    )


class AgentSettings(SettingsGroup):
    """Who takes calls; see docs/agents.md."""

    source: Path | None = Field(
        None,
        alias="AGENTS",
        description="an agent file, or a folder of them; empty: the demo shop's, or a nameless one without demo data",
    )
    default: str = Field(
        "", alias="DEFAULT_AGENT", description="the agent of calls that name none; empty: the only one, or 'default'"
    )
    reload_s: float = Field(
        1.0, alias="AGENTS_RELOAD_S", ge=0, description="how often agent files are looked at for changes; 0: never"
    )


class ToolSettings(SettingsGroup):
    """Where tools come from beside the built-in ones, and circuit breakers around them and the PIN check."""

    modules: NameList = Field(
        (), alias="TOOL_MODULES", description="Python modules with functions decorated as tools, comma-separated"
    )
    file: Path | None = Field(
        None, alias="TOOLS_FILE", description="YAML file with HTTP endpoints and MCP servers as tools; empty: none"
    )

    cb_failure_threshold: int = Field(
        5, alias="CB_FAILURE_THRESHOLD", description="failures in a row that open a circuit breaker", ge=1
    )
    cb_recovery_s: float = Field(
        30, alias="CB_RECOVERY_TIMEOUT", description="seconds until an open breaker lets one probe through", gt=0
    )


class ShopSettings(SettingsGroup):
    """The shop's order system that tools ask over HTTP."""

    api_url: str = Field(
        "",
        alias="SHOP_API_URL",
        pattern=r"^(https?://[^\s/?#@]+[^\s?#@]*)?$",
        description="its address, as https://shop.example/api; empty: the demo shop with demo data, else no order tools",
    )
    api_token: SecretStr = Field(
        SecretStr(""), alias="SHOP_API_TOKEN", description="its bearer token; demo-backend takes it too"
    )
    api_timeout_ms: int = Field(
        1500,
        alias="SHOP_API_TIMEOUT_MS",
        description="one request's time; shorter than a tool's, so that a lost one can be sent again",
        ge=50,
        le=30_000,
    )
    database_url: SecretStr = Field(
        SecretStr(""),
        alias="SHOP_DATABASE_URL",
        description="the demo shop's own database; empty: shop.db in STATE_DIR",
    )


class StoreSettings(SettingsGroup):
    """Where state lives."""

    database_url: SecretStr = Field(
        SecretStr(""), alias="DATABASE_URL", description="SQLAlchemy URL; empty: a SQLite file in STATE_DIR"
    )
    session_store_url: SecretStr = Field(SecretStr(""), alias="SESSION_STORE_URL", description="empty: in-process")


class MonitoringSettings(SettingsGroup):
    """Targets shown beside the figures; not limits."""

    target_first_token_ms: int = Field(
        900, alias="TARGET_FIRST_TOKEN_MS", description="monitoring target, not a limit", ge=1
    )
    target_turn_latency_ms: int = Field(
        2500, alias="TARGET_TURN_LATENCY_MS", description="monitoring target, not a limit", ge=1
    )
