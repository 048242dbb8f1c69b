"""Where the server listens."""

from __future__ import annotations

import socket

from voice_agent.errors import ConfigError


def bound(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet: an address that is taken is known before any model is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"HOST={host!r} is no address of this machine: {error.strerror}.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"HOST={host} PORT={port} cannot be listened on: {error.strerror}. Stop what uses it, or choose another "
            "port (voice-agent serve --port 8001)."
        ) from None
    return listener


def base_url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
