"""Who may come in: the access token, and which web pages may open a call.

A browser sends cookies and reaches local addresses for any page it shows, so a page of another origin could open a call
in its visitor's name. Browsers always say where a WebSocket comes from (RFC 6455 §10.2); other programs say nothing and
are judged by the token alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from urllib.parse import urlsplit


def token_matches(expected: str, given: str) -> bool:
    """Whether ``given`` is the access token, compared in constant time. An empty ``expected`` admits everybody."""
    return not expected or hmac.compare_digest(expected.encode(), given.encode())


def bearer_token(authorization: str) -> str:
    """The token of an ``Authorization: Bearer …`` header (RFC 6750 §2.1), or an empty text."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def origin_allowed(origin: str, host: str, allowed: Collection[str]) -> bool:
    """Whether a WebSocket with these ``Origin`` and ``Host`` headers may be opened.

    The origin's host and port must be the ones the request was sent to (the scheme may differ: TLS often ends at a
    proxy), or the origin must be in ``allowed``. ``*`` in ``allowed`` admits every page.
    """
    if not origin or "*" in allowed or origin.rstrip("/") in allowed:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return bool(parts.netloc) and parts.netloc.lower() == host.lower()
