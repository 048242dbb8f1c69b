"""Cuts a document into passages that can be read out: a section's whole sentences, a few at a time.

A passage never mixes two sections and never cuts a sentence; only one longer than a whole passage is cut, between
words. It carries the document's title and its section's heading, which say what "it" and "this" in the text are about.

A section may tell which questions it answers, one a line, in a comment that is never read out::

    ## Overnight shipping
    <!-- asked:
      How much is next day delivery?
      Will it come tomorrow if I order today?
    -->

Callers' words resemble such questions far more than they resemble the answer. In the same way ``<!-- not answered: ... -->``
lists questions that sound as if the section answered them and that no document answers: they make the search unsure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Grows with every change that gives other passages, so that stored documents are cut anew.
CHUNKING_VERSION = "3"

#: About 25 seconds of speech: more would not be listened to, and longer passages match questions less sharply.
PASSAGE_WORDS = 60

# Scripts without capitals (Arabic, Chinese) begin a sentence with any letter, so only Latin small letters are excluded.
_SENTENCE_END = re.compile(
    r"""(?:(?<=[.!?؟。！？])|(?<=[.!?؟]["'»”’)\]]))\s+"""
    r"""(?=["'«“‘¿¡(\[]*[^\W_])(?!["'«“‘¿¡(\[]*[a-zß-öø-ÿ])"""
)
#: A full stop after these ends no sentence, even before a capital or a digit.
_ABBREVIATION = re.compile(r"(?:\b(?:a\.m|p\.m|e\.g|i\.e|etc|vs|approx|mr|mrs|ms|dr|st|u\.s))\.$", re.I)
_HEADING = re.compile(r"(#{1,6})\s+(.*?)(?:\s+#*)?\s*$")
_LIST_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,3}[.)])\s+(.*)$")
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.S)
_ASKED = re.compile(r"<!--\s*(asked|not answered):(.*?)-->", re.S)
_ASKED_MARK = "\0asked "  # begins the line that stands for such a comment; no document holds zero bytes
_INLINE = (
    (re.compile(r"<!--.*?-->", re.S), ""),
    (re.compile(r"!\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"\[([^\]]+)\]\([^)]*\)"), r"\1"),
    (re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
    (re.compile(r"(?<!\w)([*_])(?=\S)(.+?)(?<=\S)\1(?!\w)"), r"\2"),
    (re.compile(r"`([^`]*)`"), r"\1"),
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage. ``heading`` is empty before a document's first section, and names the sections around it too
    ("Boots: Sizes"); ``asked`` are questions that it answers, ``unanswered`` such that no document does."""

    title: str
    heading: str
    text: str
    asked: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()


def chunk_markdown(markdown: str, fallback_title: str) -> tuple[Chunk, ...]:
    """The passages of a Markdown text, in order. ``fallback_title`` serves where there is no first-level heading."""
    title = fallback_title
    sections: dict[int, str] = {}  # heading level to heading
    chunks: list[Chunk] = []
    titled = False
    asked: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    for level, content in _blocks(markdown):
        if level == _ANSWERED:
            asked += tuple(content.split("\n"))
        elif level == _UNANSWERED:
            unanswered += tuple(content.split("\n"))
        elif level == 0:
            heading = ": ".join(sections[level] for level in sorted(sections))
            for text in _pack(split_sentences(content)):
                chunks.append(Chunk(title, heading, text, asked, unanswered))
                asked = unanswered = ()  # a long section begins with what it is about
        elif level == 1 and not titled:
            title, titled, asked, unanswered = content, True, (), ()
            sections.clear()
        else:
            sections = {outer: text for outer, text in sections.items() if outer < level} | {level: content}
            asked = unanswered = ()
    return tuple(chunks)


def split_sentences(text: str) -> list[str]:
    """Whole sentences; abbreviations such as "p.m." do not end one."""
    sentences: list[str] = []
    for part in _SENTENCE_END.split(" ".join(text.split())):
        if sentences and _ABBREVIATION.search(sentences[-1]):
            sentences[-1] += " " + part
        elif part:
            sentences.append(part)
    return sentences


def _pack(sentences: Sequence[str]) -> Iterator[str]:
    """Joins sentences while they fit into a passage."""
    held: list[str] = []
    words = 0
    for sentence in _bounded(sentences):
        count = len(sentence.split())
        if held and words + count > PASSAGE_WORDS:
            yield " ".join(held)
            held, words = [], 0
        held.append(sentence)
        words += count
    if held:
        yield " ".join(held)


def _bounded(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences:
        words = sentence.split()
        for start in range(0, len(words), PASSAGE_WORDS):
            yield " ".join(words[start : start + PASSAGE_WORDS])


_ANSWERED, _UNANSWERED = -1, -2


def _blocks(markdown: str) -> Iterator[tuple[int, str]]:
    """(heading level, its text), (-1 or -2, the questions of the section that follows, one a line: answered or not) and
    (0, a section's plain text), in order. Paragraphs, list items and table rows end as sentences do."""
    text = _FRONT_MATTER.sub("", markdown.replace("\r\n", "\n").replace("\r", "\n").replace("\0", ""))
    questions: list[tuple[int, str]] = []

    def noted(match: re.Match[str]) -> str:
        kind = _ANSWERED if match[1] == "asked" else _UNANSWERED
        lines = (line.strip() for line in match[2].split("\n") if any(map(str.isalnum, line)))
        questions.append((kind, "\n".join(lines)))
        return f"\n{_ASKED_MARK}{len(questions) - 1}\n"

    text = _ASKED.sub(noted, text)
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    body: list[str] = []
    paragraph: list[str] = []
    asked: list[tuple[int, str]] = []

    def end_paragraph() -> None:
        if paragraph:
            body.append(_ended(" ".join(paragraph)))
            paragraph.clear()

    for line in (*text.split("\n"), "# "):  # the empty heading ends the last section
        if line.startswith(_ASKED_MARK):
            asked.append(questions[int(line.removeprefix(_ASKED_MARK))])
            continue
        heading = _HEADING.match(line)
        item = _LIST_ITEM.match(line)
        row = line.strip()
        if heading:
            end_paragraph()
            if body:
                yield from ((kind, lines) for kind, lines in asked if lines)
                yield 0, " ".join(body)
                body.clear()
            asked.clear()
            if heading[2]:
                yield len(heading[1]), heading[2]
        elif item:
            end_paragraph()
            if any(map(str.isalnum, item[1])):
                paragraph.append(item[1].strip())
        elif row.startswith("|"):
            end_paragraph()
            cells = [cell.strip() for cell in row.split("|") if any(map(str.isalnum, cell))]
            if cells:
                paragraph.append(", ".join(cells))
                end_paragraph()
        else:
            words = row.removeprefix(">").strip()
            if any(map(str.isalnum, words)) and not words.startswith("```"):
                paragraph.append(words)
            elif not words:
                end_paragraph()


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?", ":", ";", ",", '"', "'", ")")) else text + "."
