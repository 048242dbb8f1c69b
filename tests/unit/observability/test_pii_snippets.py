"""How much personal data is found, and how much else is taken for it, over labelled snippets of four languages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from voice_agent.observability.pii import PiiKind, find_pii, mask

SNIPPETS = Path(__file__).parents[2] / "data" / "pii_snippets.yaml"
LEAST_RECALL, MOST_FALSE_MASKING = 0.98, 0.01
LEAST_SNIPPETS = 600

_MARK = re.compile(r"<([A-Z]+):([^>]*)>")


@dataclass(frozen=True)
class Snippet:
    """``values`` are the pieces to be masked: kind, start and end in ``text``."""

    part: str
    locale: str
    text: str
    values: tuple[tuple[PiiKind, int, int], ...]

    @property
    def expected(self) -> str:
        out, at = "", 0
        for kind, start, end in self.values:
            out += self.text[at:start] + kind.placeholder
            at = end
        return out + self.text[at:]


def snippets() -> Iterator[Snippet]:
    for part, locales in yaml.safe_load(SNIPPETS.read_text("utf-8")).items():
        for locale, lines in locales.items():
            for line in lines.splitlines():
                yield _snippet(part, locale, line)


def _snippet(part: str, locale: str, line: str) -> Snippet:
    text, values, at = "", [], 0
    for match in _MARK.finditer(line):
        text += line[at : match.start()]
        values.append((PiiKind(match[1]), len(text), len(text) + len(match[2])))
        text += match[2]
        at = match.end()
    return Snippet(part, locale, text + line[at:], tuple(values))


@dataclass
class Score:
    """Counts over snippets. A value counts as found when no letter or digit of it is left, whatever kind it was taken
    for; ``named`` are those that got their own placeholder. A snippet is falsely masked when it holds no personal data and
    does not come through as it is."""

    values: int = 0
    found: int = 0
    named: int = 0
    plain: int = 0
    falsely_masked: int = 0

    def add(self, snippet: Snippet) -> None:
        spans = find_pii(snippet.text)
        for kind, start, end in snippet.values:
            left = [
                at
                for at in range(start, end)
                if snippet.text[at].isalnum() and not any(span.start <= at < span.end for span in spans)
            ]
            self.values += 1
            self.found += not left
            self.named += not left and any(
                span.kind is kind and span.start < end and span.end > start for span in spans
            )
        if not snippet.values:
            self.plain += 1
            self.falsely_masked += mask(snippet.text) != snippet.text

    @property
    def recall(self) -> float:
        return self.found / self.values

    @property
    def false_masking(self) -> float:
        return self.falsely_masked / self.plain

    def __str__(self) -> str:
        return (
            f"recall {self.recall:.1%} ({self.found} of {self.values}), right kind {self.named / self.values:.1%}, "
            f"false masking {self.false_masking:.1%} ({self.falsely_masked} of {self.plain})"
        )


def test_personal_data_is_found_and_the_rest_stays(figure: Callable[[str], None]) -> None:
    everything = list(snippets())
    whole = Score()
    groups: dict[str, Score] = {}
    for snippet in everything:
        for score in (whole, groups.setdefault(snippet.part, Score()), groups.setdefault(snippet.locale, Score())):
            score.add(snippet)
    figure(f"masking, {len(everything)} snippets: {whole}")
    for name, score in groups.items():
        figure(f"masking, {name}: {score}")
    assert len({snippet.text for snippet in everything}) >= LEAST_SNIPPETS
    assert whole.recall >= LEAST_RECALL
    assert whole.false_masking <= MOST_FALSE_MASKING


@pytest.mark.parametrize("snippet", [s for s in snippets() if s.part == "tuned"], ids=lambda s: f"{s.locale}: {s.text}")
def test_tuned_snippets_come_out_exactly(snippet: Snippet) -> None:
    assert mask(snippet.text) == snippet.expected
