"""What every group of settings shares: where values come from, and the types that read them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _names(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    for at, name in enumerate(names):
        if name in names[:at]:
            raise ValueError(f"it names {name!r} twice, and nobody is asked twice in a row")
    return names


NameList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
ProviderChain = Annotated[
    tuple[str, ...], NoDecode, BeforeValidator(_names), AfterValidator(_each_once), Field(min_length=1)
]


class SettingsGroup(BaseSettings):
    """Every field's alias is the variable a user sets; an empty one counts as unset."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)
