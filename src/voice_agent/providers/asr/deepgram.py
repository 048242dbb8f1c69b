"""Speech recognition by Deepgram, over our own client. Models named ``flux…`` judge turns and are asked by the v2 API, all
others by v1. Settings, cost, limits: docs/providers/deepgram.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from voice_agent.config import DeepgramSettings
from voice_agent.providers.asr.base import AsrCapabilities
from voice_agent.providers.deepgram.connection import Dialer
from voice_agent.providers.deepgram.flux import FluxApi
from voice_agent.providers.deepgram.listening import Api
from voice_agent.providers.deepgram.nova import DEFAULT_MODEL, NovaApi
from voice_agent.providers.deepgram.recognizer import DeepgramRecognizer
from voice_agent.providers.registry import ProviderContext

_LOCALES = (
    *("en-US", "en-GB", "en-AU", "en-NZ", "en-IN", "es-ES", "es-419", "fr-FR", "fr-CA", "de-DE", "it-IT"),
    *("nl-NL", "pt-PT", "pt-BR", "ja-JP", "ru-RU", "hi-IN", "ar-SA"),
)
_FLUX_ENGLISH = ("en-US", "en-GB", "en-AU", "en-NZ", "en-IN")
_FLUX_LANGUAGES = frozenset({"en", "es", "fr", "de", "hi", "ru", "pt", "ja", "it", "nl"})


class DeepgramRecognizerFactory:
    """A ``RecognizerFactory``. ``model`` empty: ``nova-3``. One connection a call, dialled when the call begins: it is open
    before the caller speaks. Nothing is shared between calls but the TLS context."""

    def __init__(self, settings: DeepgramSettings, *, model: str = "", connect_s: float = 0.8) -> None:
        self._settings = settings
        self._model = model or DEFAULT_MODEL
        self._connect_s = connect_s
        self._dialer = Dialer(settings)
        self.capabilities = AsrCapabilities(wants_silence=True, locales=_locales(self._model))

    async def warm_up(self) -> None:
        """Reads certificates. Connects to nobody: a session that is not used costs money and ends after 10 s."""
        self._dialer.prepare()

    def open(self, *, locale: str, hints: tuple[str, ...]) -> AbstractAsyncContextManager[DeepgramRecognizer]:
        """One call's recogniser; it connects at once, beside whatever else the call begins with. When the context is left
        the vendor is told (20 ms at most), and no task and no connection of it remains."""
        api = FluxApi if self._model.startswith("flux") else NovaApi
        return self._opened(api(self._settings, model=self._model, locale=locale, hints=hints))

    @asynccontextmanager
    async def _opened(self, api: Api) -> AsyncIterator[DeepgramRecognizer]:
        recognizer = DeepgramRecognizer(
            api,
            lambda within_s: self._dialer.dial(api.path, api.params, within_s=within_s),
            connect_s=self._connect_s,
            capabilities=self.capabilities,
        )
        worker = asyncio.create_task(recognizer.work(), name="deepgram-recognizer")  # owned: awaited below
        try:
            yield recognizer
        finally:
            recognizer.close()
            worker.cancel()
            await asyncio.wait({worker})
            if not worker.cancelled():
                worker.result()  # a defect of ours is heard of


def _locales(model: str) -> tuple[str, ...]:
    if not model.startswith("flux"):
        return _LOCALES
    if not model.endswith("-multi"):
        return _FLUX_ENGLISH
    return tuple(locale for locale in _LOCALES if locale.partition("-")[0] in _FLUX_LANGUAGES)


def provider(context: ProviderContext) -> DeepgramRecognizerFactory:
    """Registration: ``ASR_PROVIDER=deepgram``."""
    return DeepgramRecognizerFactory(context.deepgram, model=context.asr.model, connect_s=context.asr.connect_ms / 1000)
