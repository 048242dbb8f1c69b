"""Settings, in groups, read from environment variables and ``.env``. Each constructor receives only its own group.

Every field's alias is the variable a user sets. A bad value stops the start with one line naming the variable.
"""

from voice_agent.config.loading import Settings, describe, load_settings
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

__all__ = [
    "AdmissionSettings",
    "AgentSettings",
    "AsrSettings",
    "CompatibleSettings",
    "DeepgramSettings",
    "IdentitySettings",
    "KnowledgeSettings",
    "LlmSettings",
    "LocalModelSettings",
    "MonitoringSettings",
    "OpenAiSettings",
    "ServerSettings",
    "Settings",
    "ShopSettings",
    "StoreSettings",
    "ToolSettings",
    "TtsSettings",
    "TurnSettings",
    "describe",
    "load_settings",
]
