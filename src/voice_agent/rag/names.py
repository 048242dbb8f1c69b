"""What a collection may be called."""

from __future__ import annotations

from voice_agent.conversation.locales import LANGUAGES


def check_collection_name(name: str) -> None:
    """Raises ``ValueError`` for a name that would be another collection's part in a language: ``shop-es`` is where Chroma
    has the Spanish documents of ``shop``."""
    language = name.rpartition("-")[2].lower()
    if "-" in name and language in LANGUAGES:
        raise ValueError(f"{name!r} ends in '-{language}', which marks a language's part: choose another name")
