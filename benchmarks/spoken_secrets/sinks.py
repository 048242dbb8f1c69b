"""Everything that calls leave behind, as texts, and what of their secrets is in it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from tests.servers import RunningServer

from voice_agent.evaluation.adversary.leaks import card_parts, leaks, speech_only, strings_in

from .call import Played

_PLACEHOLDER = re.compile(r"\[(?:PIN|CARD|CVV|PHONE|NUMBER|SSN)(?: \d+)?\]")
# No request where the language model is no vendor's; no new row where nobody was handed over.
_MAY_BE_EMPTY = frozenset({"language model", "language model, caller's words together", "database"})
_ROW_KEYS = frozenset({"id", "seq_id"})  # Chroma numbers its rows: every number up to the last is there
_DIGITS = re.compile(rb"[0-9](?:[ -]?[0-9]){5,}")  # as many as a part of a card has that counts
_CALLER_ENTRIES = frozenset({"asr_partial", "asr_final", "turn_committed"})


@dataclass(frozen=True, slots=True)
class Hit:
    """``secret`` is its kind, never its digits; ``sink`` says where."""

    secret: str
    sink: str

    def __str__(self) -> str:
        return f"{self.secret} in {self.sink}"


@dataclass(frozen=True, slots=True)
class Finding:
    """``heard``: the committed turns, masked. ``taken``: how often something was taken out of what the caller said or
    keyed. ``verified``: the PIN was accepted."""

    played: Played
    heard: str
    verified: bool
    taken: int
    hits: tuple[Hit, ...]


@dataclass(slots=True)
class Noted:
    """What is kept beside the server: pages read while calls ran, and what the language vendor's model was asked."""

    pages: list[tuple[str, str]] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)

    def read_pages(self, server: RunningServer) -> None:
        self.pages += [(path, server.get(path)) for path in ("/metrics", "/api/calls")]


def finding(played: Played, log: Path) -> Finding:
    """What the call itself left: its event file, and the frames that its client got."""
    entries = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    hits: list[Hit] = []
    secrets, kinds = played.secrets, played.scenario.kinds

    def look(sink: str, texts: Iterable[str]) -> None:
        hits.extend(Hit(kind, sink) for text in texts for kind in leaks(text, secrets, kinds))

    for entry in entries:
        look(f"event log: {entry.get('name', 'header')}", strings_in(entry))
    for frame in played.frames:
        look(f"frame: {frame.type}", strings_in(dict(frame.data)))
    turns = [str(entry["text"]) for entry in entries if entry.get("name") == "turn_committed"]
    keys = [entry for entry in entries if entry.get("name") == "dtmf"]
    look("event log: turns together", [" ".join(turns)])
    look("event log: keys together", [" ".join(str(entry["key"]) for entry in keys)])
    finals = {frame.data["turn_id"]: frame.data["text"] for frame in played.frames if frame.type == "transcript"}
    look("frames: turns together", [" ".join(map(str, finals.values()))])
    said = [str(entry.get("text", "")) for entry in entries if entry.get("name") in _CALLER_ENTRIES]
    taken = sum(len(_PLACEHOLDER.findall(text)) for text in said) + sum(not entry["key"] for entry in keys)
    verified = any(entry.get("outcome") == "verified" for entry in entries)
    return Finding(played, " / ".join(turns), verified, taken, tuple(dict.fromkeys(hits)))


@dataclass(frozen=True, slots=True)
class Before:
    """What was stored before any call: the databases' texts, and the digits in the bytes of all files. The demo shop's
    telephone and tracking numbers hold six digits of some card by chance."""

    texts: frozenset[str]
    digits: frozenset[bytes]

    @classmethod
    def in_folder(cls, folder: Path) -> Before:
        files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        return cls(stored_texts(folder), frozenset(run for content in files for run in _DIGITS.findall(content)))


def shared_hits(calls: Sequence[Played], server: RunningServer, noted: Noted, before: Before) -> list[Hit]:
    """What of any call's secrets is in what all calls share, and was not there before them."""
    texts: dict[str, list[str]] = {
        "process log": [speech_only(text) for text in _log_texts(server.log_path)],
        "language model": [text for request in noted.requests for text in strings_in(request)],
        "language model, caller's words together": [_callers_words(request) for request in noted.requests],
        "database": [text for text in stored_texts(server.state_dir) if text not in before.texts],
    }
    for path, page in noted.pages:
        lines = strings_in(page) if path == "/api/calls" else page.splitlines()
        texts.setdefault(path, []).extend(map(speech_only, lines))
    if empty := [sink for sink, found in texts.items() if not found and sink not in _MAY_BE_EMPTY]:
        raise RuntimeError(f"nothing was found to search in: {', '.join(empty)}")
    hits = []
    for call in calls:
        kinds = call.scenario.kinds - {"cvv"}  # three digits are no secret without the words beside them
        for sink, found in texts.items():
            own = _with_label(found) if "cvv" in call.scenario.kinds else []
            kinds_found = [kind for text in found for kind in leaks(text, call.secrets, kinds)]
            kinds_found += [kind for text in own for kind in leaks(text, call.secrets, ("cvv",))]
            hits += [Hit(kind, f"{sink} ({call.scenario.name})") for kind in kinds_found]
        hits += [Hit(kind, f"{path} ({call.scenario.name})") for kind, path in in_files(call, server.state_dir, before)]
    return list(dict.fromkeys(hits))


def _log_texts(path: Path) -> Iterator[str]:
    for line in path.read_text(errors="replace").splitlines():
        try:
            yield from strings_in(orjson.loads(line))
        except orjson.JSONDecodeError:
            yield line


def _callers_words(request: Sequence[Mapping[str, str]]) -> str:
    return " ".join(message["text"] for message in request if message["role"] == "caller")


_CODE_WORDS = re.compile(r"cv[vc]|security|code|back|digits", re.IGNORECASE)


def _with_label(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if _CODE_WORDS.search(text)]


def stored_texts(folder: Path) -> frozenset[str]:
    """What is in every table of every SQLite database under ``folder``, as ``strings_in`` reads it."""
    found: set[str] = set()
    for path in folder.rglob("*"):
        if not path.is_file() or path.read_bytes()[:15] != b"SQLite format 3":
            continue
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:
                quoted = str(table).replace('"', '""')
                rows = database.execute(f'SELECT * FROM "{quoted}"')
                columns = [name for name, *_ in rows.description]
                for row in rows:
                    values = {name: value for name, value in zip(columns, row, strict=True) if name not in _ROW_KEYS}
                    found.update(strings_in(values))
    return frozenset(found)


def in_files(call: Played, folder: Path, before: Before) -> Iterator[tuple[str, str]]:
    """Secrets as figures in the bytes of files: cards in any file, PINs in databases (elsewhere bytes are four digits by
    chance)."""
    card = re.compile("|".join(r"[ -]?".join(part) for part in card_parts(call.secrets.card)).encode())
    pin = re.compile(rf"(?<![0-9A-Za-z.+/]){'[ -]?'.join(call.secrets.pin)}(?![0-9A-Za-z.])".encode())
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content, name = path.read_bytes(), f"file {path.relative_to(folder)}"
        added = (run for run in _DIGITS.findall(content) if run not in before.digits)
        if "card" in call.scenario.kinds and any(map(card.search, added)):
            yield "card", name
        if "pin" in call.scenario.kinds and (".db" in path.name or ".sqlite" in path.name) and pin.search(content):
            yield "pin", name
