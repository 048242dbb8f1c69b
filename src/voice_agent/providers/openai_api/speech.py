"""Speech synthesis over ``POST /audio/speech`` (https://platform.openai.com/docs/api-reference/audio/createSpeech).

Asked for ``pcm``: 24 kHz, 16-bit, mono, little endian. Audio goes out from the first bytes. A text that is longer than the
endpoint takes is read in several requests, one after another.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import orjson

from voice_agent.conversation.spoken_forms.speakable import speakable
from voice_agent.errors import ProviderError
from voice_agent.providers.openai_api.account import Account
from voice_agent.providers.openai_api.errors import told_failure
from voice_agent.providers.openai_api.options import Options
from voice_agent.providers.openai_api.pcm_stream import PcmStream
from voice_agent.providers.openai_api.voices import Voice
from voice_agent.providers.peer import empty_error, protocol_error, transport_error
from voice_agent.providers.web import Answer

SAMPLE_RATE_HZ: Final = 24_000
TEXT_MAX_CHARS: Final = 4000  # the endpoint takes 4096
_AUDIO_MAX_BYTES: Final = 600 * SAMPLE_RATE_HZ * 2  # longer than the longest text takes to read
_ERROR_BYTES: Final = 2**14
_ERROR_BODY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """``speed`` 1.0 and empty ``instructions`` are not sent; ``model_variable`` is the setting that names the model.
    ``named_voice`` gives a voice by its name, as requests have it; a custom voice at OpenAI is an object with its id."""

    model: str
    voice: Voice
    model_variable: str
    named_voice: Callable[[str], Voice] = str
    speed: float = 1.0
    instructions: str = ""


class EndpointSynthesizer:
    """A ``SpeechSynthesizer``. Closing a stream closes its connection at once, and the server stops speaking."""

    sample_rate_hz = SAMPLE_RATE_HZ

    def __init__(self, account: Account, settings: SpeechSettings) -> None:
        self._account = account
        self._settings = settings
        options: dict[str, Any] = {"response_format": "pcm"}
        if settings.speed != 1.0:
            options["speed"] = settings.speed
        if settings.instructions:
            options["instructions"] = settings.instructions
        self._options = Options(options, {"response_format": ("response_format", "wav")})

    async def warm_up(self) -> None:
        await self._account.warm_up()

    async def synthesize(self, text: str, *, locale: str, voice: str = "") -> AsyncIterator[bytes]:
        """Chunks as they arrive. Raises ``ProviderError``."""
        chosen = self._settings.named_voice(voice) if voice else self._settings.voice
        for part in parts_of(speakable(text, locale=locale)):
            async with aclosing(self._speak(part, chosen)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _speak(self, text: str, voice: Voice) -> AsyncGenerator[bytes, None]:
        import httpx2

        body = {"model": self._settings.model, "voice": voice, "input": text}
        answer = await self._options.ask(
            self._account, "/audio/speech", body, model_variable=self._settings.model_variable
        )
        sent_bytes = 0
        try:
            stream = await self._stream(answer)
            async for piece in answer.body():
                if pcm := stream.feed(piece):
                    sent_bytes += len(pcm)
                    if sent_bytes > _AUDIO_MAX_BYTES:
                        raise protocol_error(self._account.peer, "sends audio without end")
                    yield pcm
            if pcm := stream.flush():
                sent_bytes += len(pcm)
                yield pcm
            await answer.release()
        except ValueError as error:
            raise protocol_error(self._account.peer, f"sends {error}") from None
        except httpx2.HTTPError as error:
            raise transport_error(self._account.peer, error, self._account.connect_s) from error
        finally:
            await self._account.close(answer)
        if not sent_bytes:
            raise empty_error(self._account.peer, "answered without audio")

    async def _stream(self, answer: Answer) -> PcmStream:
        """Reads the answer's type. Raises for an error in the shape of a success, or another kind of audio."""
        if answer.content_type == "application/json":
            raise self._told(await answer.head_of_body(_ERROR_BYTES, _ERROR_BODY_S))
        return PcmStream(answer.content_type, SAMPLE_RATE_HZ)

    def _told(self, body: bytes) -> ProviderError:
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError:
            content = None
        if isinstance(content, dict) and (error := content.get("error")):
            return told_failure(error).error(
                self._account.peer, model=self._settings.model, model_variable=self._settings.model_variable
            )
        return protocol_error(self._account.peer, "sends JSON instead of audio")


def parts_of(text: str, limit_chars: int = TEXT_MAX_CHARS) -> list[str]:
    """The text in parts that an endpoint takes, cut at spaces where there are any. Empty for an empty text."""
    parts: list[str] = []
    while len(text) > limit_chars:
        cut = text.rfind(" ", 1, limit_chars + 1)
        cut = cut if cut > 0 else limit_chars
        parts.append(text[:cut])
        text = text[cut:].lstrip()
    return [*parts, text] if text else parts
