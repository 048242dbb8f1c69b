"""The whole error tree.

``VoiceAgentError``
├── ``ConfigError``     a setting, file or model is wrong: the operator must act; stops the start
├── ``CallerError``     the far side broke the contract (bad frame, bad parameter): ends or refuses that call only
├── ``ProviderError``   a speech, language or embedding service failed; ``category`` says how, ``retryable`` says what next
├── ``StoreError``      the database could not be asked or did not answer
├── ``CallError``       a call that we place ourselves (simulated caller) was refused, lost, or not answered in time
├── ``ToolError``       a tool could not do its work (a business answer such as "no such order" is *not* an error)
└── ``BugError``        an invariant of our own does not hold

A vendor's exceptions are translated in that vendor's own file.
"""

from __future__ import annotations

from enum import StrEnum


class VoiceAgentError(Exception):
    """Anything this program raises on purpose."""


class ConfigError(VoiceAgentError):
    """Says which setting or file is wrong, with which value, and what to do."""


class CallerError(VoiceAgentError):
    """The caller's side broke the contract. ``close_code`` is the WebSocket close code (RFC 6455 §7.4)."""

    def __init__(self, message: str, *, close_code: int = 1008) -> None:
        super().__init__(message)
        self.close_code = close_code


class ProviderFault(StrEnum):
    """How a provider failed; a closed set, safe as a metric label."""

    AUTH = "auth"
    QUOTA = "quota"
    RATE = "rate"
    NETWORK = "network"
    PROTOCOL = "protocol"
    EMPTY = "empty"
    TIMEOUT = "timeout"
    INTERNAL = "internal"


class ProviderError(VoiceAgentError):
    """A provider failed. ``retryable`` is true where the same request may work with the same provider a little later;
    ``retry_after_s`` is when, in seconds, where the provider says so. ``undone``: the request changed nothing for certain,
    since it was never sent, or was turned away."""

    def __init__(
        self,
        message: str,
        *,
        category: ProviderFault,
        retryable: bool = True,
        retry_after_s: float | None = None,
        undone: bool = False,
    ) -> None:
        super().__init__(message)
        self.category = category
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.undone = undone


class StoreError(VoiceAgentError):
    """The database could not be asked, or did not answer. Its text holds no statement and no parameter."""


class CallError(VoiceAgentError):
    """A call that we place ourselves was refused, was lost, or did not get the answer it waited for in time."""


class ToolError(VoiceAgentError):
    """A tool could not do its work; the caller hears the tool's fallback text. ``undone``: it changed nothing for
    certain."""

    def __init__(self, message: str, *, undone: bool = False) -> None:
        super().__init__(message)
        self.undone = undone


class BugError(VoiceAgentError):
    """An invariant of this program does not hold."""
