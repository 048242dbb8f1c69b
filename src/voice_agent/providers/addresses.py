"""Vendors' addresses as settings give them: checked before the first call, and shown without what is secret in them."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit, urlunsplit

from voice_agent.errors import ConfigError


def checked(variable: str, url: str, *, schemes: tuple[str, ...], example: str) -> SplitResult:
    """The parts of an address with a host. Raises ``ConfigError``, which names the ``variable``."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(f"{variable}={shown(url)!r} is no address: it looks like {example}.")
    return parts


def shown(url: str) -> str:
    """An address without name, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.rpartition("@")[2].partition("?")[0]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
