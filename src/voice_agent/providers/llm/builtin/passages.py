"""Answers a question in the knowledge base's own words: the one or two sentences nearest to it in meaning.

Nothing is composed, so nothing can be made up: every word spoken stands in a document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voice_agent.providers.understanding.matcher import TextEmbedder, Vectors, prepare_text

_PASSAGES = 4  # the rest is further from the question than these
_SENTENCES = 24  # bounds the embedding work for very long passages
_MOST_WORDS = 45  # about 15 s of speech; a second sentence beyond it is left out
_SECOND_SHARE = 0.4  # how near, measured on the best sentence, its neighbour must be to be worth hearing

# A sentence is compared alone and under its title; a document says the main thing first, so later sentences have to be
# clearly nearer. The search knows better than the sentences which passage answers; where it is hardly surer of one than
# of the next (log-odds this near, below a score where rounding hides the difference), the nearest sentence decides.
_TITLED_SHARE = 0.3
_LATER_COST = 0.05
_LATER_SENTENCES = 2
_LEAD_BONUS = 0.08  # for "Returns" beside "Returns: in a store": the general rule comes first
_CLOSE_LOG_ODDS = 1.0
_SURE = 0.99
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\b[ap]\.m\.)(?<!e\.g\.)(?<!i\.e\.)\s+(?=[A-Z0-9\"'(])")
_MARKUP = re.compile(r"^\s*(?:#{1,6}\s+.*|[-*_]{3,}\s*|\|[-| :]+\|)$")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d+[.)])\s+")
_INLINE = re.compile(r"(\*\*|__|`|(?<!\w)[*_]|[*_](?!\w))")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_LEANS_BACK = re.compile(
    r"^(?:it|its|they|their|them|this|these|that|those|he|she|also|then|however|otherwise|but|so|and|or|instead|"
    r"in that case|after that|both|such|you can also|for that|if so|if not)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int
    position: int
    title: str
    text: str


async def extract_answer(question: str, passages: Sequence[Mapping[str, Any]], embedder: TextEmbedder) -> str:
    """At most two sentences of ``passages`` ({"title", "text", "score"}, best first); "" if they hold none.

    Raises what the embedder raises.
    """
    sentences = [
        _Sentence(index, position, str(passage.get("title", "")), text)
        for index, passage in enumerate(_candidates(passages))
        for position, text in enumerate(split_sentences(str(passage.get("text", ""))))
    ][:_SENTENCES]
    if not sentences:
        return ""
    nearness = await _nearness(question, sentences, embedder)
    titles = {sentence.title for sentence in sentences}
    best = max(range(len(sentences)), key=lambda i: nearness[i] + _standing(sentences[i], titles))
    before, after = _neighbour(sentences, best, -1), _neighbour(sentences, best, 1)
    near = max((index for index in (before, after) if index is not None), key=lambda i: nearness[i], default=None)
    if _LEANS_BACK.match(sentences[best].text) and before is not None:
        chosen = [before, best]
    elif after is not None and _LEANS_BACK.match(sentences[after].text):
        chosen = [best, after]
    elif near is not None and nearness[near] >= _SECOND_SHARE * nearness[best]:
        chosen = sorted((best, near))
    else:
        chosen = [best]
    if sum(len(sentences[index].text.split()) for index in chosen) > _MOST_WORDS:
        chosen = [best]
    return " ".join(sentences[index].text for index in chosen)


async def _nearness(question: str, sentences: Sequence[_Sentence], embedder: TextEmbedder) -> Vectors:
    """How near each sentence is to the question."""
    alone = [prepare_text(sentence.text) for sentence in sentences]
    titled = [prepare_text(f"{sentence.title}: {sentence.text}") for sentence in sentences]
    vectors = await embedder.embed([prepare_text(question), *alone, *titled])
    cosines = vectors[1:] @ vectors[0]
    count = len(sentences)
    nearness: Vectors = (1 - _TITLED_SHARE) * cosines[:count] + _TITLED_SHARE * cosines[count:]
    return nearness


def _standing(sentence: _Sentence, titles: Collection[str]) -> float:
    """What a sentence's place is worth."""
    leads = any(title.startswith(f"{sentence.title}:") for title in titles)
    return (_LEAD_BONUS if leads else 0.0) - _LATER_COST * min(sentence.position, _LATER_SENTENCES)


def _candidates(passages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The best passage, and those that the search finds about as good."""
    if not passages:
        return []
    best = _score(passages[0])
    if best >= _SURE:
        return [passages[0]]
    least = _log_odds(best) - _CLOSE_LOG_ODDS
    return [passages[0], *(p for p in passages[1:_PASSAGES] if _log_odds(_score(p)) >= least)]


def _score(passage: Mapping[str, Any]) -> float:
    return float(passage.get("score") or 0.0)


def _log_odds(score: float) -> float:
    bounded = min(max(score, 1 - _SURE), _SURE)
    return math.log(bounded / (1 - bounded))


def _neighbour(sentences: Sequence[_Sentence], index: int, step: int) -> int | None:
    """The sentence before or after in the same passage."""
    other = index + step
    if 0 <= other < len(sentences) and sentences[other].passage == sentences[index].passage:
        return other
    return None


def split_sentences(text: str) -> list[str]:
    """Speakable sentences of Markdown or plain text: headings, tables' rules and markup are dropped, each list item is
    a sentence of its own."""
    sentences: list[str] = []
    paragraph: list[str] = []

    def flush() -> None:
        joined = " ".join(paragraph)
        paragraph.clear()
        sentences.extend(part.strip() for part in _SENTENCE_END.split(joined) if any(c.isalnum() for c in part))

    for line in text.splitlines():
        if not line.strip() or _MARKUP.match(line):
            flush()
            continue
        if _BULLET.match(line):
            flush()
        plain = _INLINE.sub("", _LINK.sub(r"\1", _BULLET.sub("", line))).strip()
        paragraph.append(plain)
    flush()
    return [sentence if sentence[-1] in ".!?" else f"{sentence.rstrip(',;:')}." for sentence in sentences]
