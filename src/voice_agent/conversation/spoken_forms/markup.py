"""Removes what is written for the eye only: Markdown, HTML, SSML, emoji, decoration. Knows no language."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Final

_RULES: Final = (
    (re.compile(r"```[^\n`]*\n?(.*?)(?:```|\Z)", re.DOTALL), r"\1"),  # code fences
    (re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL), " "),
    (re.compile(r"</?[A-Za-z][^<>]*>"), " "),  # HTML and SSML tags
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), r"\1"),  # images
    (re.compile(r"\[([^\]]+)\]\((?:[^()]|\([^)]*\))*\)"), r"\1"),  # links
    (re.compile(r"\[\^?\d+\]"), " "),  # footnotes
    (re.compile(r"^[ \t]{0,3}(?:#{1,6}|>+)[ \t]+", re.MULTILINE), ""),  # headings, quotations
    (re.compile(r"^[ \t]*(?:[-*+•◦▪–—]|\d{1,2}[.)])[ \t]+(?=\S)", re.MULTILINE), ""),  # list marks
    (re.compile(r"^[ \t]*(?:[-*_=] ?){3,}[ \t]*$", re.MULTILINE), ""),  # rules
    (re.compile(r"^[ \t]*\|?(?:[ \t]*:?-{3,}:?[ \t]*\|)+[ \t:|-]*$", re.MULTILINE), ""),  # table rules
    (re.compile(r"^[ \t]*\||\|[ \t]*$", re.MULTILINE), ""),
    (re.compile(r"[ \t]*\|[ \t]*"), ", "),
    (re.compile(r"(\*{1,3}|~~|`+)(?=\S)(.+?)(?<=\S)\1", re.DOTALL), r"\2"),  # bold, italic, struck, code
    (re.compile(r"(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)", re.DOTALL), r"\2"),
    (re.compile(r"(?<!\w)[:;8=][-o']?[)(DPp/\\|](?!\w)"), " "),  # emoticons
)
_PLAIN: Final = str.maketrans(
    {
        "‘": "'", "’": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "`": "", "*": " ", "~": "~",
        "\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u200b": "", "\u200c": "", "\u200d": "", "\ufeff": "",
        "\u00ad": "", "…": "...", "‐": "-", "‑": "-", "‒": "–", "−": "-", "•": ",", "·": ",", "\\": " ", "^": " ",
    }
)  # fmt: skip
# Emoji, dingbats, pictures, arrows' variants, control and private characters have nothing to say.
_SILENT_CATEGORIES: Final = frozenset({"So", "Cc", "Cf", "Co", "Cs", "Cn", "Sk"})
_KEPT: Final = frozenset("\n\t°©®™")
_TERMINATED: Final = (".", "!", "?", ":", ";", ",", "…", "。", "؟", "!", "?")


def plain_text(text: str) -> str:
    """One line of text without markup; lines that end without a mark get a full stop."""
    text = html.unescape(text)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = text.translate(_PLAIN)
    text = "".join(char for char in text if char in _KEPT or unicodedata.category(char) not in _SILENT_CATEGORIES)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if any(char.isalnum() for char in line)]
    joined = " ".join(line if line.endswith(_TERMINATED) else f"{line}." for line in lines[:-1])
    last = lines[-1] if lines else ""
    return f"{joined} {last}".strip()
