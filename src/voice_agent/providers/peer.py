"""A server that is asked over the network, and what goes wrong on the way to it, in our categories and in plain words.

``Peer`` says whose fault it is and what an operator can change. What a server says of itself is read elsewhere.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voice_agent.errors import ProviderError, ProviderFault

_NOT_CONNECTED: Final = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})  # so nothing was sent


@dataclass(frozen=True, slots=True)
class Peer:
    """A server as messages name it: ``OpenAI``, where it is (no credentials), and the variables that choose it."""

    name: str
    url: str
    key_variable: str
    url_variable: str


def transport_error(peer: Peer, error: Exception, connect_s: float) -> ProviderError:
    """An ``httpx2.HTTPError``, or what a WebSocket connection raises, as a ``ProviderError``."""
    kind = type(error).__name__
    if kind in ("ConnectTimeout", "PoolTimeout") or isinstance(error, TimeoutError):
        return ProviderError(
            f"{peer.name} at {peer.url} gave no connection within {connect_s * 1000:.0f} ms.",
            category=ProviderFault.TIMEOUT,
            undone=kind in _NOT_CONNECTED,
        )
    if kind == "RemoteProtocolError" and not str(error).startswith(("peer closed", "Server disconnected")):
        return ProviderError(
            f"{peer.name} at {peer.url} does not speak HTTP: check {peer.url_variable}.",
            category=ProviderFault.PROTOCOL,
        )
    return ProviderError(
        f"{peer.name} at {peer.url} cannot be used: {_plain_cause(error)}.",
        category=ProviderFault.NETWORK,
        undone=kind in _NOT_CONNECTED,
    )


def _plain_cause(error: BaseException) -> str:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its TLS certificate is not valid ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "the TLS handshake failed"
        if isinstance(cause, socket.gaierror):
            return "its name is not known (DNS)"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused"
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return "the connection was reset"
    return "the connection was lost"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it came from, each once."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        current = todo.pop(0)
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            if isinstance(current, BaseExceptionGroup):
                todo += current.exceptions
            todo += [cause for cause in (current.__cause__, current.__context__) if cause is not None]


def protocol_error(peer: Peer, what: str) -> ProviderError:
    """The server answered, but not as the API says."""
    return ProviderError(f"{peer.name} at {peer.url} {what}.", category=ProviderFault.PROTOCOL)


def empty_error(peer: Peer, what: str, *, retryable: bool = True) -> ProviderError:
    """The server answered properly, with nothing in it."""
    return ProviderError(f"{peer.name} {what}.", category=ProviderFault.EMPTY, retryable=retryable)
