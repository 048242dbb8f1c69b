"""The Realtime events that a client sends, as far as they are served; what is wrong with one names its field."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Client(BaseModel):
    """Any event; the types are the protocol's, whether served or not."""

    type: Literal[
        "session.update",
        "conversation.item.create",
        "conversation.item.delete",
        "conversation.item.retrieve",
        "conversation.item.truncate",
        "input_audio_buffer.append",
        "input_audio_buffer.clear",
        "input_audio_buffer.commit",
        "output_audio_buffer.clear",
        "response.create",
        "response.cancel",
    ]


class Query(BaseModel):
    """What the address of a session says."""

    model: Annotated[str, Field(min_length=1)]


class PcmFormat(BaseModel):
    type: Literal["audio/pcm"]
    rate: Literal[24000] = 24000


class AudioOutput(BaseModel):
    format: PcmFormat | None = None
    voice: Any = None
    speed: Annotated[float, Field(ge=0.25, le=1.5)] | None = None


class Audio(BaseModel):
    model_config = ConfigDict(extra="allow")

    output: AudioOutput | None = None


class SessionChanges(BaseModel):
    model_config = ConfigDict(extra="allow")

    type: Literal["realtime"]
    output_modalities: list[Literal["text", "audio"]] | None = None
    instructions: str | None = None
    audio: Audio | None = None


class UpdateSession(BaseModel):
    session: SessionChanges

    @property
    def changes(self) -> dict[str, Any]:
        """What was given, without the model, which cannot be changed."""
        return {
            name: value
            for name, value in self.session.model_dump(exclude_unset=True).items()
            if name not in ("model", "id")
        }


class Content(BaseModel):
    type: Literal["input_text", "output_text", "output_audio"]
    text: str | None = None
    transcript: str | None = None


class Item(BaseModel):
    """A message of the conversation."""

    id: str | None = None
    type: Literal["message"]
    role: Literal["system", "user", "assistant"]
    content: Annotated[list[Content], Field(min_length=1)]

    @property
    def text(self) -> str:
        return " ".join(part.text or part.transcript or "" for part in self.content).strip()


class CreateItem(BaseModel):
    item: Item


class DeleteItem(BaseModel):
    item_id: str


class ResponseWanted(BaseModel):
    conversation: str | None = None
    instructions: str | None = None
    input: list[Item] | None = None
    output_modalities: list[Literal["text", "audio"]] | None = None


class CreateResponse(BaseModel):
    response: ResponseWanted = Field(default_factory=ResponseWanted)
