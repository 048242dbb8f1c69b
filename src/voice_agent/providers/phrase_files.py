"""Audio of fixed phrases on disk, so that a restart neither waits for nor pays the vendor again.

One file a phrase: a header (magic, length, BLAKE2b checksum) and 16-bit mono PCM. The name is a hash of everything that
makes the audio what it is: provider and settings, the voice, the locale, the text. A file is written beside its place and
renamed, so that a reader sees all of it or nothing, whichever process wrote it. Phrases used longest ago are thrown away
first. Whatever the disk does costs a line in the log and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from voice_agent.clock import file_seconds

_HEADER: Final = struct.Struct("<4sI16s")
_MAGIC: Final = b"VAP1"
_SUFFIX: Final = ".phrase"
_UNFINISHED: Final = ".unfinished"
_UNFINISHED_MAX_S: Final = 3600.0  # what a process that died in the middle left behind

log = structlog.get_logger(__name__)


class PhraseFiles:
    """The phrases of one ``speaker`` (any text that tells a provider and its settings from others); others' files in
    ``folder`` count for ``max_bytes`` too. ``voice`` is the name of one it has, empty for its usual one. Every method blocks
    on the disk: call it in a thread. None raises."""

    def __init__(self, folder: Path, speaker: str, max_bytes: int) -> None:
        self._folder = folder
        self._speaker = speaker
        self._max_bytes = max_bytes

    def read(self, text: str, locale: str, voice: str = "") -> bytes | None:
        """The audio, or ``None`` where there is none that is whole; a damaged file is removed."""
        path = self._path(text, locale, voice)
        try:
            content = path.read_bytes()
            pcm = _checked(content)
            if pcm is None:
                log.warning("a damaged phrase file is removed", file=path.name, size_bytes=len(content))
                path.unlink(missing_ok=True)
            else:
                with suppress(OSError):  # made room for by another process, or a disk that may only be read
                    os.utime(path)  # used now
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("a phrase file cannot be read", file=path.name, error=error.strerror)
            return None
        return pcm

    def write(self, text: str, locale: str, pcm: bytes, voice: str = "") -> None:
        """Keeps the audio, and makes room for it. Nothing is written for audio that alone is larger than the bound."""
        content = _HEADER.pack(_MAGIC, len(pcm), _digest(pcm)) + pcm
        if len(content) > self._max_bytes:
            return
        path = self._path(text, locale, voice)
        unfinished = ""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(len(content))
            handle, unfinished = tempfile.mkstemp(suffix=_UNFINISHED, dir=self._folder)  # mode 0600
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(unfinished, path)
        except OSError as error:
            log.warning("a phrase cannot be kept on disk", file=path.name, error=error.strerror)
            if unfinished:
                with suppress(OSError):
                    os.unlink(unfinished)

    def _path(self, text: str, locale: str, voice: str) -> Path:
        key = json.dumps([self._speaker, voice, locale, text]).encode()
        return self._folder / (hashlib.blake2b(key, digest_size=20).hexdigest() + _SUFFIX)

    def _make_room(self, size_bytes: int) -> None:
        kept: list[tuple[float, int, str]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # another process made room too
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(_SUFFIX):
                        kept.append((status.st_mtime, status.st_size, entry.path))
                    elif entry.name.endswith(_UNFINISHED) and file_seconds() - status.st_mtime > _UNFINISHED_MAX_S:
                        os.unlink(entry.path)
        used_bytes = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if used_bytes + size_bytes <= self._max_bytes:
                break
            with suppress(FileNotFoundError):
                os.unlink(path)
            used_bytes -= size


def _checked(content: bytes) -> bytes | None:
    if len(content) < _HEADER.size:
        return None
    magic, length, digest = _HEADER.unpack_from(content)
    pcm = content[_HEADER.size :]
    return pcm if magic == _MAGIC and length == len(pcm) and digest == _digest(pcm) else None


def _digest(pcm: bytes) -> bytes:
    return hashlib.blake2b(pcm, digest_size=16).digest()
