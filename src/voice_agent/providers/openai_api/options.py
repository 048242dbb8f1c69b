"""Optional parameters of requests, and what to do where a server refuses one.

Servers of the same API differ in what they know: reasoning models refuse ``temperature``, each kind of server knows one
name of the token limit, some know no ``stream_options``, some speak WAV only. A request that is refused for such a reason
goes out again without it (or with what stands in for it), and the process remembers once that has worked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from voice_agent.providers.openai_api.account import Account
from voice_agent.providers.openai_api.errors import Failure
from voice_agent.providers.web import Answer

_REFUSAL: Final = re.compile(
    r"unsupported|not support|unrecognized|unknown|unexpected|not permitted|forbidden|not allowed|invalid|only the default",
    re.IGNORECASE,
)

#: Parameter -> (parameter, value) that stands in for it; a value of ``None`` takes over the refused one's.
Instead = Mapping[str, tuple[str, Any]]


class Options:
    """The optional parameters of one endpoint. ``instead`` may give a parameter another value under the same name."""

    def __init__(self, values: Mapping[str, Any], instead: Instead | None = None) -> None:
        self._values = dict(values)
        self._instead = instead or {}

    def get(self, name: str) -> Any:
        """What is sent under this name; ``None`` for nothing."""
        return self._values.get(name)

    async def ask(self, account: Account, path: str, body: Mapping[str, Any], *, model_variable: str) -> Answer:
        """The answer's head, with status 200, of a request that the server takes; ``body`` holds the ``model``. Close it.
        Raises ``ProviderError``."""
        values = dict(self._values)
        refused: set[str] = set()
        while True:
            answer = await account.post(path, {**body, **values})
            if answer.status == 200:
                if refused:
                    self._values = values
                return answer
            try:
                failure = await account.failure(answer)
            finally:
                await answer.aclose()
            name = _refused(failure, [name for name in values if name not in refused])
            if name is None:
                raise failure.error(account.peer, model=str(body["model"]), model_variable=model_variable)
            refused.add(name)
            value = values.pop(name)
            if name in self._instead:
                other, other_value = self._instead[name]
                if other == name or other not in refused:
                    values[other] = value if other_value is None else other_value


def _refused(failure: Failure, sent: list[str]) -> str | None:
    """The optional parameter that a refusal is about, of those that were sent."""
    if failure.status not in (400, 422):
        return None
    if failure.param:
        return failure.param if failure.param in sent else None
    if not _REFUSAL.search(failure.text):
        return None
    return next((name for name in sent if re.search(rf"\b{name}\b", failure.text)), None)
