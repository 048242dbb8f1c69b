"""Clients for tests, without the rest of the platform."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from voice_agent.providers.openai_api.account import Account
from voice_agent.providers.openai_api.chat import ChatModel, ChatSettings
from voice_agent.providers.peer import Peer
from voice_agent.providers.web import WebClient

MakeAccount = Callable[..., Account]
MakeModel = Callable[..., ChatModel]


@pytest.fixture
async def web() -> AsyncIterator[WebClient]:
    client = WebClient()
    yield client
    await client.aclose()


@pytest.fixture
def account(web: WebClient) -> MakeAccount:
    def make(base_url: str, *, connect_s: float = 5.0, key: str = "sk-secret-key") -> Account:
        peer = Peer("Acme", base_url, "ACME_KEY", "ACME_URL")
        return Account(web, peer, base_url=base_url, key=key, connect_s=connect_s)

    return make


@pytest.fixture
def chat_model(account: MakeAccount) -> MakeModel:
    def make(base_url: str, *, connect_s: float = 5.0, **settings: Any) -> ChatModel:
        given = {
            "model": "some-model",
            "temperature": 0.3,
            "max_tokens": 100,
            "limit_name": "max_tokens",
            "model_variable": "ACME_MODEL",
        }
        return ChatModel(account(base_url, connect_s=connect_s), ChatSettings(**{**given, **settings}))

    return make
