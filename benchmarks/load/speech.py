"""The recordings that calls under load are made of: real human speech, cut and checked once, then kept.

They come from Debian's ``asterisk-core-sounds-en-wav`` (``apt-get install asterisk-core-sounds-en-wav``; CC-BY-SA 3.0, which
is why they are not in this repository), resampled, at one loudness:

- ``caller-N.pcm``: 1.5 s at 16 kHz ending with the end of a sentence, without a pause inside;
- ``agent.pcm``: 16 s at 24 kHz without pauses, so that every 20 ms of an answer can be told from silence.

The caller's are checked with the product's own models: voiced from the beginning to the end, and complete for the
end-of-turn model. LiveKit's end-of-turn model calls the same sentences complete.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import common  # noqa: F401  # puts the repository on the path
import numpy as np
from numpy.typing import NDArray
from tests.hearing import PROMPT_FOLDER

from load.script import CHUNK_BYTES, HEAR_RATE_HZ, SPEAK_RATE_HZ, speech_folder
from voice_agent.evaluation.caller_audio import read_wav

CALLER_S = 1.5
AGENT_S = 16.0
PROMPTS = (
    "queue-youarenext",
    "vm-reachoper",
    "vm-sorry",
    "dir-nomatch",
    "confbridge-dec-talk-vol-out",
    "conf-userswilljoin",
)

_LOUDNESS_DBFS = -18.0
_WINDOW_S = 0.02
_QUIET_SHARE = 0.06  # of the loud windows' level: below it a window is a pause

Samples = NDArray[np.float64]


def prepared_speech() -> Path:
    """The folder of recordings, made where it does not exist. Raises ``SystemExit`` where the package is missing."""
    folder = speech_folder()
    if (folder / "agent.pcm").exists():
        return folder
    if not PROMPT_FOLDER.is_dir():
        raise SystemExit("The callers' recordings are missing: apt-get install asterisk-core-sounds-en-wav")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".load-speech-"))
    for number, name in enumerate(PROMPTS):
        samples = _caller_samples(name)
        _check(name, samples)
        (fresh / f"caller-{number}.pcm").write_bytes(_pcm(samples))
    (fresh / "agent.pcm").write_bytes(_agent_pcm())
    try:
        os.replace(fresh, folder)
    except OSError:  # another process was faster
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def caller_recordings() -> list[bytes]:
    """Utterances of 1.5 s, 16-bit mono PCM at 16 kHz."""
    return [path.read_bytes() for path in sorted(prepared_speech().glob("caller-*.pcm"))]


def _caller_samples(name: str) -> Samples:
    """The last 1.5 s of speech of a prompt, ending with its last loud window."""
    samples = _recording(name, HEAR_RATE_HZ)
    end = (int(np.flatnonzero(_loud(samples, HEAR_RATE_HZ))[-1]) + 1) * round(_WINDOW_S * HEAR_RATE_HZ)
    begin = end - round(CALLER_S * HEAR_RATE_HZ)
    if begin < 0:
        raise RuntimeError(f"the prompt {name} is shorter than {CALLER_S} s: another version of the package?")
    return _at_loudness(samples[begin:end])


def _agent_pcm() -> bytes:
    parts: list[Samples] = []
    length = round(AGENT_S * SPEAK_RATE_HZ)
    for samples in _long_recordings():
        window = round(_WINDOW_S * SPEAK_RATE_HZ)
        loud = _loud(samples, SPEAK_RATE_HZ)
        parts.append(samples[: loud.size * window].reshape(-1, window)[loud].reshape(-1))
        if sum(part.size for part in parts) >= length:
            break
    pcm = _pcm(_at_loudness(np.concatenate(parts)[:length]))
    chunks = [pcm[at : at + CHUNK_BYTES] for at in range(0, len(pcm), CHUNK_BYTES)]
    if not all(any(chunk) for chunk in chunks):
        raise RuntimeError("the agent's recording has a silent chunk")
    return pcm


def _long_recordings() -> Iterator[Samples]:
    for path in sorted(PROMPT_FOLDER.glob("*.wav"), key=lambda path: (-path.stat().st_size, path.name)):
        yield _recording(path.stem, SPEAK_RATE_HZ)


def _recording(name: str, rate_hz: int) -> Samples:
    return np.frombuffer(read_wav(PROMPT_FOLDER / f"{name}.wav", rate_hz), "<i2").astype(np.float64)


def _loud(samples: Samples, rate_hz: int) -> NDArray[np.bool_]:
    """Which windows of 20 ms hold speech."""
    window = round(_WINDOW_S * rate_hz)
    levels = np.sqrt(np.mean(np.square(samples[: samples.size // window * window].reshape(-1, window)), axis=1))
    return np.asarray(levels > _QUIET_SHARE * np.percentile(levels, 95))


def _at_loudness(samples: Samples) -> Samples:
    return samples * (10 ** (_LOUDNESS_DBFS / 20) * 32_768 / np.sqrt(np.mean(np.square(samples))))


def _pcm(samples: Samples) -> bytes:
    return np.clip(samples, -32_000, 32_000).astype("<i2").tobytes()


def _check(name: str, samples: Samples) -> None:
    """Raises ``RuntimeError`` unless the recording is one unbroken, finished utterance for the product's models."""
    from voice_agent.audio.features import last_window, log_mel
    from voice_agent.providers import weights
    from voice_agent.providers.sessions import open_session
    from voice_agent.providers.vad.silero import HOP_SAMPLES, speech_probabilities

    noise = np.random.default_rng(7).normal(0, 12, HEAR_RATE_HZ)
    whole = np.concatenate([noise[: HOP_SAMPLES * 16], samples, noise])
    voiced = np.array(speech_probabilities(open_session(weights.silero_vad()), _pcm(whole))) >= 0.5
    speech = voiced[16 : 16 + samples.size // HOP_SAMPLES]
    gap = max((len(run) for run in "".join("x" if hop else "." for hop in speech[5:-2]).split("x")), default=0)
    late = (int(np.flatnonzero(voiced)[-1]) + 1 - 16) * HOP_SAMPLES - samples.size
    heard = np.concatenate([samples, noise[: round(0.16 * HEAR_RATE_HZ)]]).astype(np.float32) / 32_768
    features = log_mel(last_window(heard, 8.0))
    score = float(open_session(weights.smart_turn()).run(None, {"input_features": features[None]})[0][0, 0])
    if gap > 2 or abs(late) > 0.1 * HEAR_RATE_HZ or score < 0.7:
        raise RuntimeError(f"{name}: pause of {gap} hops, end off by {late} samples, completeness {score:.2f}")
