"""Settings, in groups, read from environment variables and ``.env``. Each constructor receives only its own group.

Every field's alias is the variable a user sets. A bad value stops the start with one line naming the variable.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from voice_agent.errors import ConfigError


def _names(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


NameList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
ProviderChain = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names), Field(min_length=1)]


class _Group(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)


class ServerSettings(_Group):
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
    state_dir: Path = Field(Path("var"), alias="STATE_DIR", description="database, knowledge base, event logs")
    demo_data: bool | None = Field(
        None, alias="DEMO_DATA", description="seed the demo shop; empty: only while DATABASE_URL is empty"
    )
    log_level: str = Field(
        "INFO", alias="LOG_LEVEL", description="DEBUG, INFO, WARNING or ERROR", pattern="^(DEBUG|INFO|WARNING|ERROR)$"
    )
    log_format: str = Field(
        "console", alias="LOG_FORMAT", description="console (for people) or json", pattern="^(console|json)$"
    )


class AdmissionSettings(_Group):
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


class AsrSettings(_Group):
    """Speech recognition."""

    provider: ProviderChain = Field(("local",), alias="ASR_PROVIDER", description="speech recognition: local")
    language: str = Field("en-US", alias="ASR_LANGUAGE", description="locale of calls that name none")
    model: str = Field("", alias="ASR_MODEL", description="empty: the provider's current best")
    partial_interval_ms: int = Field(
        400, alias="ASR_PARTIAL_INTERVAL_MS", description="how often a partial transcript is made", ge=100
    )


class TtsSettings(_Group):
    """Speech synthesis."""

    provider: ProviderChain = Field(("local",), alias="TTS_PROVIDER", description="speech synthesis: local")
    model: str = Field("", alias="TTS_MODEL", description="empty: the provider's default")
    voice: str = Field(
        "alloy", alias="TTS_VOICE", description="voice name; one the provider lacks falls back to its own"
    )
    speed: float = Field(1.0, alias="TTS_SPEED", description="1.0 is the voice's own pace", ge=0.5, le=2.0)
    response_format: str = Field(
        "pcm", alias="TTS_RESPONSE_FORMAT", description="audio format of hosted synthesis: pcm", pattern="^pcm$"
    )


class LlmSettings(_Group):
    """The language model."""

    provider: ProviderChain = Field(("builtin",), alias="LLM_PROVIDER", description="language model: builtin")
    model: str = Field("gpt-4o", alias="LLM_MODEL", description="model id of a hosted language model")
    temperature: float = Field(0.3, alias="LLM_TEMPERATURE", description="of a hosted language model", ge=0, le=2)
    max_tokens: int = Field(512, alias="LLM_MAX_TOKENS", description="of a hosted language model's answer", ge=1)
    brain_file: Path | None = Field(None, alias="BRAIN_FILE", description="intents and templates of the built-in model")


class LocalModelSettings(_Group):
    """The pool in which local models run."""

    workers: int = Field(
        2, alias="LOCAL_MODEL_WORKERS", description="threads that run local models, one per core at most", ge=1, le=64
    )
    queue: int = Field(64, alias="LOCAL_MODEL_QUEUE", ge=1, description="jobs that may wait; beyond it work is refused")


class TurnSettings(_Group):
    """When the caller has finished, when the caller interrupts, and how long anything may take."""

    vad_threshold: float = Field(
        0.5, alias="VAD_THRESHOLD", description="probability of speech that counts as voiced", gt=0, lt=1
    )
    vad_quiet_dbfs: float = Field(
        -60.0,
        alias="VAD_QUIET_DBFS",
        ge=-200,
        le=-30,
        description="audio below this is no speech, and costs no voice detection; -200 leaves nothing out",
    )
    speech_start_ms: int = Field(64, alias="SPEECH_START_MS", ge=32, description="speech this long is an onset")
    speech_stop_ms: int = Field(160, alias="SPEECH_STOP_MS", ge=64, description="silence this long is a pause")
    end_of_turn_min_ms: int = Field(200, alias="END_OF_TURN_MIN_MS", ge=0, description="silence before any turn ends")
    end_of_turn_unsure_ms: int = Field(800, alias="END_OF_TURN_UNSURE_MS", ge=100, description="when it may go on")
    end_of_turn_max_ms: int = Field(1800, alias="END_OF_TURN_MAX_MS", ge=200, description="no pause waits longer")
    end_of_turn_threshold: float = Field(
        0.5,
        alias="END_OF_TURN_THRESHOLD",
        ge=0,
        le=1,
        description="belief in an end at which a turn waits END_OF_TURN_UNSURE_MS; below it longer, above it shorter",
    )
    end_of_turn_sure: float = Field(
        0.85, alias="END_OF_TURN_SURE", gt=0, le=1, description="belief from which it waits only END_OF_TURN_MIN_MS"
    )
    end_of_turn_shape_ms: int = Field(
        500,
        alias="END_OF_TURN_SHAPE_MS",
        ge=0,
        description="after a date or number that is whole but may go on (a year, a further digit)",
    )
    end_of_turn_opener_ms: int = Field(
        800,
        alias="END_OF_TURN_OPENER_MS",
        ge=0,
        description="after 'hey' or 'so' alone: mostly more follows, yet a lone 'hello?' wants its answer within a second",
    )
    end_of_turn_hold_ms: int = Field(
        5000, alias="END_OF_TURN_HOLD_MS", ge=0, description="after 'hold on, let me get it': time to go on in the turn"
    )
    caller_patience_min: float = Field(
        0.8, alias="CALLER_PATIENCE_MIN", gt=0, le=1, description="waits in doubt shrink to this for who never pauses"
    )
    caller_patience_max: float = Field(
        1.8, alias="CALLER_PATIENCE_MAX", ge=1, description="and grow to this many times for who pauses long"
    )
    order_number_digits: int = Field(
        5, alias="ORDER_NUMBER_DIGITS", ge=1, le=13, description="digits of an order number; the last one ends the turn"
    )
    key_gap_ms: int = Field(
        2500, alias="KEY_GAP_MS", ge=100, description="a pause between keys that ends a typed number"
    )
    key_complete_ms: int = Field(
        500, alias="KEY_COMPLETE_MS", ge=0, description="after the last digit expected: time for '#' or one digit more"
    )
    hold_patience_s: float = Field(
        45, alias="HOLD_PATIENCE_S", gt=0, description="silence before 'are you still there?' after a request to wait"
    )
    acknowledge_after_s: float = Field(
        20, alias="ACKNOWLEDGE_AFTER_S", ge=0, description="in longer turns the agent says 'okay' at a pause; 0: never"
    )
    max_utterance_s: float = Field(
        60,
        alias="MAX_UTTERANCE_S",
        gt=1,
        description="a turn this long is taken as it is: nobody speaks so long by phone",
    )
    barge_in_pause_ms: int = Field(
        96, alias="BARGE_IN_PAUSE_MS", ge=32, description="speech that pauses the agent: three hops, a click is shorter"
    )
    barge_in_commit_ms: int = Field(
        600, alias="BARGE_IN_COMMIT_MS", ge=100, description="speech in which one sure word stops it for good"
    )
    barge_in_words: int = Field(2, alias="BARGE_IN_WORDS", ge=1, description="sure words that stop it before that")
    barge_in_patience_ms: int = Field(
        1500,
        alias="BARGE_IN_PATIENCE_MS",
        ge=500,
        description="a sound without words that lasts this long is noise: the agent goes on",
    )
    barge_in_grace_ms: int = Field(
        300, alias="BARGE_IN_GRACE_MS", ge=0, description="after an unsure word more may follow: the agent goes on then"
    )
    barge_in_rewind_ms: int = Field(
        240, alias="BARGE_IN_REWIND_MS", ge=0, le=500, description="repeated at most, to go on where a sound begins"
    )
    barge_in_sure_confidence: float = Field(
        0.8,
        alias="BARGE_IN_SURE_CONFIDENCE",
        ge=0,
        le=1,
        description="needed of short words; hums and coughs that look like words have less",
    )
    barge_in_side_talk_db: float = Field(
        10, alias="BARGE_IN_SIDE_TALK_DB", gt=0, description="this much below the caller's usual level is side talk"
    )
    barge_in_echo_share: float = Field(
        0.5, alias="BARGE_IN_ECHO_SHARE", gt=0, le=1, description="share of the agent's own audio that is an echo"
    )
    barge_in_thinking_words: int = Field(
        3,
        alias="BARGE_IN_THINKING_WORDS",
        ge=1,
        description="the same before the answer is heard: waiting costs nothing",
    )
    barge_in_thinking_commit_ms: int = Field(
        1000, alias="BARGE_IN_THINKING_COMMIT_MS", ge=100, description="the same before the answer is heard"
    )
    barge_in_closing_words: int = Field(
        3, alias="BARGE_IN_CLOSING_WORDS", ge=1, description="the same over a goodbye: it is often said back"
    )
    barge_in_closing_commit_ms: int = Field(
        800, alias="BARGE_IN_CLOSING_COMMIT_MS", ge=100, description="the same over a goodbye"
    )
    speculation: bool = Field(
        True, alias="SPECULATION", description="begin the answer before the turn is certain; costs wasted requests"
    )
    speculation_max_wait_ms: int = Field(
        800,
        alias="SPECULATION_MAX_WAIT_MS",
        ge=0,
        description="no draft for a turn that needs longer silence than this",
    )
    speculation_drafts: int = Field(
        2, alias="SPECULATION_DRAFTS_PER_TURN", ge=0, description="drafts that one turn may cost at most"
    )
    turn_timeout_ms: int = Field(
        5000, alias="TURN_TIMEOUT_MS", description="a turn without audio by then gets a spoken fallback", ge=100
    )
    idle_prompt_s: float = Field(12, alias="IDLE_PROMPT_S", gt=0, description="silence before 'are you still there?'")
    idle_hangup_s: float = Field(12, alias="IDLE_HANGUP_S", gt=0, description="further silence before goodbye")
    max_turns: int = Field(50, alias="MAX_TURNS_PER_SESSION", description="then the caller is handed over", ge=1)
    session_ttl_s: float = Field(
        1800, alias="SESSION_TTL_SECONDS", description="then the call ends with a goodbye", gt=0
    )
    max_failures: int = Field(
        3, alias="MAX_CONSECUTIVE_FAILURES", description="failed turns or tools in a row before a handover", ge=1
    )
    playout_lead_ms: int = Field(80, alias="PLAYOUT_LEAD_MS", ge=20, le=200, description="audio sent ahead of the ear")


class IdentitySettings(_Group):
    """PINs and lock-out."""

    pin_digits: int = Field(4, alias="PIN_DIGITS", description="digits of a PIN", ge=4, le=12)
    pin_max_attempts: int = Field(
        3, alias="PIN_MAX_ATTEMPTS", description="wrong tries before the lock-out, across calls", ge=1
    )
    pin_lockout_s: float = Field(900, alias="PIN_LOCKOUT_S", description="length of the lock-out", ge=1)


class KnowledgeSettings(_Group):
    """The knowledge base."""

    enabled: bool = Field(True, alias="ENABLE_RAG", description="false: no knowledge base")
    collection: str = Field("voice_kb", alias="CHROMA_COLLECTION", description="name of the collection", min_length=3)
    embedding_model: str = Field(
        "all-MiniLM-L6-v2", alias="EMBEDDING_MODEL", description="its confidence is calibrated for this model"
    )
    confidence_threshold: float = Field(
        0.6, alias="CONFIDENCE_THRESHOLD", description="below it a knowledge-base answer is not used", ge=0, le=1
    )


class ToolSettings(_Group):
    """Circuit breakers around tools and providers."""

    cb_failure_threshold: int = Field(
        5, alias="CB_FAILURE_THRESHOLD", description="failures in a row that open a circuit breaker", ge=1
    )
    cb_recovery_s: float = Field(
        30, alias="CB_RECOVERY_TIMEOUT", description="seconds until an open breaker lets one probe through", gt=0
    )


class StoreSettings(_Group):
    """Where state lives."""

    database_url: SecretStr = Field(
        SecretStr(""), alias="DATABASE_URL", description="SQLAlchemy URL; empty: a SQLite file in STATE_DIR"
    )
    session_store_url: SecretStr = Field(SecretStr(""), alias="SESSION_STORE_URL", description="empty: in-process")


class MonitoringSettings(_Group):
    """Targets shown beside the figures; not limits."""

    target_first_token_ms: int = Field(
        900, alias="TARGET_FIRST_TOKEN_MS", description="monitoring target, not a limit", ge=1
    )
    target_turn_latency_ms: int = Field(
        2500, alias="TARGET_TURN_LATENCY_MS", description="monitoring target, not a limit", ge=1
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups. Built once, by the composition root."""

    server: ServerSettings
    admission: AdmissionSettings
    asr: AsrSettings
    tts: TtsSettings
    llm: LlmSettings
    local_models: LocalModelSettings
    turn: TurnSettings
    identity: IdentitySettings
    knowledge: KnowledgeSettings
    tools: ToolSettings
    store: StoreSettings
    monitoring: MonitoringSettings

    @property
    def demo_data_wanted(self) -> bool:
        """The demo shop goes into the embedded default database, never unasked into one that was configured."""
        if self.server.demo_data is not None:
            return self.server.demo_data
        return not self.store.database_url.get_secret_value()


_GROUPS: dict[str, type[_Group]] = {
    "server": ServerSettings,
    "admission": AdmissionSettings,
    "asr": AsrSettings,
    "tts": TtsSettings,
    "llm": LlmSettings,
    "local_models": LocalModelSettings,
    "turn": TurnSettings,
    "identity": IdentitySettings,
    "knowledge": KnowledgeSettings,
    "tools": ToolSettings,
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
    _check_workers(settings.server)
    if settings.store.session_store_url.get_secret_value():
        raise ConfigError("SESSION_STORE_URL is set, but this version keeps sessions in the process: leave it empty.")
    return settings


def _one_line(group: type[_Group], error: ValidationError) -> str:
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
