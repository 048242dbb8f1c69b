"""The process, its doors, and what it admits."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from voice_agent.config.base import NameList, SettingsGroup


class ServerSettings(SettingsGroup):
    """The process and its doors."""

    host: str = Field("127.0.0.1", alias="HOST", description="address to bind; beyond loopback set ACCESS_TOKEN")
    port: int = Field(8000, alias="PORT", description="port to listen on; 0 takes a free one", ge=0, le=65535)
    access_token: SecretStr = Field(
        SecretStr(""), alias="ACCESS_TOKEN", description="bearer token for /ws/call and /api; required beyond loopback"
    )
    allowed_origins: NameList = Field(
        (),
        alias="ALLOWED_ORIGINS",
        description="further web origins whose pages may open calls, e.g. https://shop.example",
    )
    workers: int = Field(
        1,
        alias="WORKERS",
        ge=1,
        le=256,
        description="processes that share the port and the calls; about one per core, each with models of its own",
    )
    max_calls: int = Field(
        8, alias="MAX_CALLS", ge=1, description="calls admitted at once by this server, all workers together"
    )
    busy_answer: str = Field(
        "code",
        alias="BUSY_ANSWER",
        pattern="^(code|spoken)$",
        description="how a call beyond capacity is refused: close code 1013 at once, or after a spoken sentence",
    )
    drain_timeout_s: float = Field(
        30, alias="DRAIN_TIMEOUT_S", description="seconds that running calls get to end at a shutdown", ge=0
    )
    state_dir: Path = Field(Path("var"), alias="STATE_DIR", description="databases, knowledge base, event logs")
    demo_data: bool | None = Field(
        None, alias="DEMO_DATA", description="demo callers, documents and shop; empty: only while DATABASE_URL is empty"
    )
    log_level: str = Field(
        "INFO", alias="LOG_LEVEL", description="DEBUG, INFO, WARNING or ERROR", pattern="^(DEBUG|INFO|WARNING|ERROR)$"
    )
    log_format: str = Field(
        "console", alias="LOG_FORMAT", description="console (for people) or json", pattern="^(console|json)$"
    )


class AdmissionSettings(SettingsGroup):
    """When a call is refused although a place is free; see docs/capacity.md."""

    max_loop_lag_ms: float = Field(
        40,
        alias="ADMISSION_MAX_LOOP_LAG_MS",
        gt=0,
        description="median lateness of the event loop over a second; two frames' length: later, and frames pile up",
    )
    max_playout_lateness_ms: float = Field(
        60,
        alias="ADMISSION_MAX_PLAYOUT_LATENESS_MS",
        gt=0,
        description="99th percentile over 3 s; a usual jitter buffer: later, and callers hear gaps",
    )
    calm_s: float = Field(
        2, alias="ADMISSION_CALM_S", ge=0, description="seconds without overload before calls are admitted again"
    )
    ramp_calls_per_s: float = Field(
        5,
        alias="ADMISSION_RAMP_CALLS_PER_S",
        gt=0,
        description="calls that a worker begins in a second, twice as many at once, fewer near its limits; a call weighs "
        "only once it talks",
    )
