"""Who listens, thinks and speaks: the providers of each stage, their deadlines, and the vendors' accounts."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr

from voice_agent.config.base import ProviderChain, SettingsGroup


class AsrSettings(SettingsGroup):
    """Speech recognition."""

    provider: ProviderChain = Field(
        ("local",),
        alias="ASR_PROVIDER",
        description="speech recognition: local, deepgram; several are a fallback chain",
    )
    language: str = Field("en-US", alias="ASR_LANGUAGE", description="locale of calls that name none")
    model: str = Field("", alias="ASR_MODEL", description="empty: the provider's current best")
    partial_interval_ms: int = Field(
        400, alias="ASR_PARTIAL_INTERVAL_MS", description="how often a partial transcript is made", ge=100
    )
    connect_ms: int = Field(800, alias="ASR_CONNECT_MS", ge=10, description="time to connect, then the next provider")
    first_result_ms: int = Field(
        700,
        alias="ASR_FIRST_RESULT_MS",
        ge=10,
        description="from a pause to the final transcript, then the next provider hears the utterance again",
    )
    hedge_ms: int = Field(
        350, alias="ASR_HEDGE_MS", ge=0, description="a final later than this starts the next provider beside; 0: never"
    )
    patience_ms: int = Field(
        4000,
        alias="ASR_PATIENCE_MS",
        ge=10,
        description="time to the final transcript where no other provider is left; then the call is handed over",
    )


class TtsSettings(SettingsGroup):
    """Speech synthesis."""

    provider: ProviderChain = Field(
        ("local",),
        alias="TTS_PROVIDER",
        description="speech synthesis: local, deepgram, openai, openai_realtime, compatible; several are a fallback chain",
    )
    model: str = Field("", alias="TTS_MODEL", description="empty: the provider's default")
    voice: str = Field(
        "alloy", alias="TTS_VOICE", description="voice name; one the provider lacks falls back to its own"
    )
    speed: float = Field(1.0, alias="TTS_SPEED", description="1.0 is the voice's own pace", ge=0.5, le=2.0)
    response_format: str = Field(
        "pcm", alias="TTS_RESPONSE_FORMAT", description="audio format of hosted synthesis: pcm", pattern="^pcm$"
    )
    connect_ms: int = Field(500, alias="TTS_CONNECT_MS", ge=10, description="time to connect, then the next provider")
    first_result_ms: int = Field(
        1000, alias="TTS_FIRST_RESULT_MS", ge=10, description="time to the first audio, then the next provider"
    )
    gap_ms: int = Field(
        800, alias="TTS_GAP_MS", ge=10, description="time between pieces of audio, then the next provider goes on"
    )
    hedge_ms: int = Field(
        400, alias="TTS_HEDGE_MS", ge=0, description="audio later than this starts the next provider beside; 0: never"
    )
    patience_ms: int = Field(
        2000,
        alias="TTS_PATIENCE_MS",
        ge=10,
        description="time to audio where no other provider is left; then the call is handed over",
    )
    cache_mb: int = Field(
        64,
        alias="TTS_CACHE_MB",
        ge=0,
        description="fixed phrases kept on disk in STATE_DIR, per voice; 0: in memory only",
    )


class LlmSettings(SettingsGroup):
    """The language model."""

    provider: ProviderChain = Field(
        ("builtin",),
        alias="LLM_PROVIDER",
        description="language model: builtin, openai, compatible; several are a fallback chain",
    )
    model: str = Field("gpt-4o", alias="LLM_MODEL", description="model id of a hosted language model")
    temperature: float = Field(0.3, alias="LLM_TEMPERATURE", description="of a hosted language model", ge=0, le=2)
    max_tokens: int = Field(512, alias="LLM_MAX_TOKENS", description="of a hosted language model's answer", ge=1)
    connect_ms: int = Field(600, alias="LLM_CONNECT_MS", ge=10, description="time to connect, then the next provider")
    first_result_ms: int = Field(
        1500, alias="LLM_FIRST_RESULT_MS", ge=10, description="time to the first token, then the next provider"
    )
    gap_ms: int = Field(
        1000, alias="LLM_GAP_MS", ge=10, description="time between tokens, then the next provider begins anew"
    )
    hedge_ms: int = Field(
        800,
        alias="LLM_HEDGE_MS",
        ge=0,
        description="a first token later than this starts the next provider beside; 0: never",
    )
    reasoning_effort: str = Field(
        "",
        alias="LLM_REASONING_EFFORT",
        description="of a hosted reasoning model, as none, minimal, low; a caller waits for it. Empty: the model's default",
        pattern="^[a-z]*$",
    )
    patience_ms: int = Field(
        4000,
        alias="LLM_PATIENCE_MS",
        ge=10,
        description="time to a token where no other provider is left; then the call is handed over",
    )
    brain_file: Path | None = Field(None, alias="BRAIN_FILE", description="intents and templates of the built-in model")


class DeepgramSettings(SettingsGroup):
    """The Deepgram account: recognition and synthesis."""

    api_key: SecretStr = Field(
        SecretStr(""), alias="DEEPGRAM_API_KEY", description="needed only if Deepgram is selected"
    )
    url: str = Field(
        "https://api.deepgram.com", alias="DEEPGRAM_URL", description="its address; another for a self-hosted one"
    )
    utterance_end_ms: int = Field(
        1000,
        alias="DEEPGRAM_UTTERANCE_END_MS",
        ge=1000,
        le=5000,
        description="silence between words that ends an utterance",
    )
    eot_threshold: float = Field(
        0.7, alias="DEEPGRAM_EOT_THRESHOLD", ge=0.5, le=0.9, description="flux models: confidence that ends a turn"
    )
    eager_eot_threshold: float = Field(
        0.4,
        alias="DEEPGRAM_EAGER_EOT_THRESHOLD",
        ge=0.3,
        le=0.9,
        description="flux models: confidence at which an answer is begun in draft",
    )
    eot_timeout_ms: int = Field(
        3000,
        alias="DEEPGRAM_EOT_TIMEOUT_MS",
        ge=500,
        le=10_000,
        description="flux models: silence that always ends a turn",
    )
    endpointing_ms: int = Field(
        300,
        alias="DEEPGRAM_ENDPOINTING_MS",
        ge=10,
        le=5000,
        description="nova models: silence after which the vendor gives a final unasked; ours is asked for sooner",
    )
    smart_format: bool = Field(
        True, alias="DEEPGRAM_SMART_FORMAT", description="numbers as digits, punctuation, as the vendor writes them"
    )
    mip_opt_out: bool = Field(
        True,
        alias="DEEPGRAM_MIP_OPT_OUT",
        description="nothing is kept for the vendor's model improvement; see docs/providers/deepgram.md for the price",
    )

    @property
    def key_known(self) -> bool:
        return bool(self.api_key.get_secret_value())


class OpenAiSettings(SettingsGroup):
    """The OpenAI account: language model and synthesis."""

    api_key: SecretStr = Field(
        SecretStr(""), alias="OPENAI_API_KEY", description="needed only if an OpenAI provider is selected"
    )
    base_url: str = Field("https://api.openai.com/v1", alias="OPENAI_BASE_URL", description="where its API is")
    realtime_model: str = Field(
        "gpt-realtime", alias="OPENAI_REALTIME_MODEL", description="model of synthesis by openai_realtime"
    )
    tts_instructions: str = Field(
        "", alias="OPENAI_TTS_INSTRUCTIONS", description="how OpenAI's voices speak, as: calmly, a little faster"
    )

    @property
    def key_known(self) -> bool:
        return bool(self.api_key.get_secret_value())


class CompatibleSettings(SettingsGroup):
    """A second server with an OpenAI-compatible API (vLLM, Ollama, llama.cpp, LiteLLM, a TTS server): ``compatible``."""

    base_url: str = Field("", alias="COMPATIBLE_BASE_URL", description="where its API is, as http://127.0.0.1:11434/v1")
    api_key: SecretStr = Field(SecretStr(""), alias="COMPATIBLE_API_KEY", description="where the server asks for one")
    llm_model: str = Field("", alias="COMPATIBLE_LLM_MODEL", description="empty: LLM_MODEL")
    tts_model: str = Field("", alias="COMPATIBLE_TTS_MODEL", description="empty: TTS_MODEL")
    tts_voice: str = Field("", alias="COMPATIBLE_TTS_VOICE", description="empty: TTS_VOICE")


class LocalModelSettings(SettingsGroup):
    """The pool in which local models run."""

    workers: int = Field(
        2, alias="LOCAL_MODEL_WORKERS", description="threads that run local models, one per core at most", ge=1, le=64
    )
    queue: int = Field(64, alias="LOCAL_MODEL_QUEUE", ge=1, description="jobs that may wait; beyond it work is refused")
