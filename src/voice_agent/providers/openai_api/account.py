"""An account at an OpenAI-shaped server: where it is, its key, and requests to it over the shared HTTP client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from voice_agent.errors import ProviderError
from voice_agent.providers.addresses import checked, shown
from voice_agent.providers.openai_api.errors import Failure, failure_of
from voice_agent.providers.peer import Peer, transport_error
from voice_agent.providers.registry import ProviderContext
from voice_agent.providers.web import Answer, WebClient

_ERROR_BYTES = 2**16
_ERROR_BODY_S = 0.5  # an error's status says most: its body is not waited for much longer
_WARM_CONNECT_S = 4.0  # nobody waits for a connection that is opened ahead


class Account:
    """``base_url`` ends before the endpoint's name, as ``https://api.openai.com/v1``. An empty ``key`` sends none.
    Raises ``ConfigError`` for an address that is none."""

    def __init__(self, web: WebClient, peer: Peer, *, base_url: str, key: str, connect_s: float) -> None:
        self.web = web
        self.peer = peer
        self.base_url = base_url.rstrip("/")
        checked(peer.url_variable, self.base_url, schemes=("http", "https"), example="http://127.0.0.1:8001/v1")
        self.connect_s = connect_s
        self.headers: dict[str, str] = {"authorization": f"Bearer {key}"} if key else {}

    async def warm_up(self) -> None:
        """Loads what the first request needs; talks to nobody."""
        _ = self.web.http

    async def post(self, path: str, payload: Mapping[str, Any]) -> Answer:
        """Asks, and returns with the head of the answer, whatever its status. Close it. Raises ``ProviderError``.

        A connection that the server closed while it waited is only noticed in use: then the request goes out once more."""
        import httpx2

        url = self.base_url + path
        content = encoded(payload)
        headers = {"content-type": "application/json", **self.headers}
        reused = self.web.has_waiting(url)
        try:
            try:
                return await self.web.open("POST", url, headers=headers, content=content, connect_s=self.connect_s)
            except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
                if not reused:
                    raise
                return await self.web.open("POST", url, headers=headers, content=content, connect_s=self.connect_s)
        except httpx2.HTTPError as error:
            raise transport_error(self.peer, error, self.connect_s) from error

    async def failure(self, answer: Answer) -> Failure:
        """Reads an answer that is an error."""
        body = await answer.head_of_body(_ERROR_BYTES, _ERROR_BODY_S)
        return failure_of(answer.status, answer.headers, body)

    async def close(self, answer: Answer) -> None:
        """Closes it. If that cost its connection, another is opened in the background: the next turn is near."""
        await answer.aclose()
        if answer.abandoned:
            self.web.spawn(self._warm_again(), f"warm-{self.peer.name}")

    async def warm(self) -> None:
        """Opens a connection unless one waits, by the cheapest request there is, which also tries the key: that one is
        refused is raised as ``ProviderError``, other answers do not matter."""
        import httpx2

        url = f"{self.base_url}/models"
        if self.web.has_waiting(url):
            return
        try:
            answer = await self.web.open("GET", url, headers=self.headers, connect_s=_WARM_CONNECT_S)
        except httpx2.HTTPError as error:
            raise transport_error(self.peer, error, _WARM_CONNECT_S) from error
        try:
            failure = await self.failure(answer)
            if answer.status in (401, 403):
                raise failure.error(self.peer, model="", model_variable="")
        finally:
            await answer.aclose()

    async def _warm_again(self) -> None:
        try:
            await self.warm()
        except ProviderError:
            return  # the next request meets the same, and says it


def openai_account(context: ProviderContext, connect_ms: int) -> Account:
    """The account at OpenAI."""
    settings = context.openai
    peer = Peer("OpenAI", shown(settings.base_url), "OPENAI_API_KEY", "OPENAI_BASE_URL")
    key = settings.api_key.get_secret_value()
    return Account(context.web, peer, base_url=settings.base_url, key=key, connect_s=connect_ms / 1000)


def compatible_account(context: ProviderContext, connect_ms: int) -> Account:
    """The account at the second, compatible server."""
    settings = context.compatible
    peer = Peer("the compatible server", shown(settings.base_url), "COMPATIBLE_API_KEY", "COMPATIBLE_BASE_URL")
    key = settings.api_key.get_secret_value()
    return Account(context.web, peer, base_url=settings.base_url, key=key, connect_s=connect_ms / 1000)


def encoded(payload: Mapping[str, Any]) -> bytes:
    """JSON. Half a surrogate pair, which JSON cannot hold, becomes a question mark."""
    try:
        return orjson.dumps(payload)
    except TypeError:
        return orjson.dumps(_without_surrogates(payload))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
