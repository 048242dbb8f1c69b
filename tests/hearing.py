"""What a test hears: recognised text of recorded audio, and texts made comparable."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voice_agent.audio.frames import pcm_of, samples_of
from voice_agent.evaluation.caller_audio import read_wav, whole_resampled
from voice_agent.providers.asr.moonshine import SAMPLE_RATE_HZ, Moonshine, Stop
from voice_agent.providers.weights import moonshine

PROMPT_FOLDER = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
_TRANSCRIPTS = Path(__file__).parent / "data" / "human_prompts.tsv"

_WORDS = "zero one two three four five six seven eight nine".split()
_DIGIT_OF = {word: str(value) for value, word in enumerate(_WORDS)} | {"oh": "0", "o": "0"}
_TENS = {
    word: str(value)
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
_GAP_S = 0.6  # longer than the pauses inside a sentence
_WINDOW_S = 0.02
_QUIET_RMS = 0.003


@dataclass(frozen=True, slots=True)
class Prompt:
    """A human recording and the words it holds."""

    name: str
    words: str

    def pcm(self, rate_hz: int = 16_000) -> bytes:
        return read_wav(PROMPT_FOLDER / f"{self.name}.wav", rate_hz)


def human_prompts() -> list[Prompt]:
    """The transcribed prompts of ``asterisk-core-sounds-en-wav``."""
    rows = [line.split("\t") for line in _TRANSCRIPTS.read_text().splitlines() if line and not line.startswith("#")]
    return [Prompt(name, words) for name, words in rows]


@functools.cache
def _model() -> Moonshine:
    return Moonshine(moonshine())


def recognised(pcm: bytes, rate_hz: int) -> str:
    """The words of a recording, by the local recogniser outside of any server; blocking. Silences are cut out first."""
    samples = whole_resampled(samples_of(pcm).astype(np.float64) / 32_768, rate_hz, SAMPLE_RATE_HZ)
    window = round(_WINDOW_S * SAMPLE_RATE_HZ)
    rows = samples[: samples.size // window * window].reshape(-1, window)
    loud = np.flatnonzero(np.sqrt(np.mean(np.square(rows), axis=1)) > _QUIET_RMS)
    if loud.size == 0:
        return ""
    breaks = np.flatnonzero(np.diff(loud) * _WINDOW_S > _GAP_S)
    texts: list[str] = []
    for part in np.split(loud, breaks + 1):
        begin, end = max(0, part[0] - 5) * window, (part[-1] + 6) * window
        texts += [h.text for h in _model().transcribe(pcm_of(samples[begin:end]), (), Stop())]
    return " ".join(text.strip() for text in texts if text.strip())


def plain_words(text: str) -> str:
    """Lower case, no punctuation, every digit a word: for word error rates, where "1" and "one" are the same."""
    text = re.sub(r"\d", lambda found: f" {_WORDS[int(found.group())]} ", text.lower())
    return " ".join(re.sub(r"[^a-z' ]", " ", text.replace("’", "'")).split())


def digits_in(text: str) -> str:
    """All digits of a text in order, however they are written: "eighty-three one oh 2" gives "83102"."""
    out: list[str] = []
    tens = False
    for token in re.findall(r"\d|[a-z]+", text.lower()):
        if tens and token not in _DIGIT_OF:
            out.append("0")
        tens = token in _TENS
        out.append(_TENS.get(token) or _DIGIT_OF.get(token) or (token if token.isdigit() else ""))
    return "".join(out) + ("0" if tens else "")
