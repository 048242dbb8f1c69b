"""Opens ONNX Runtime sessions the way every local model here runs: one thread, on the CPU.

One thread each, because parallelism comes from the pool's workers; two threads a session were slower on busy cores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voice_agent.errors import ConfigError


def open_session(path: Path) -> Any:
    """An ``onnxruntime.InferenceSession``; blocks for up to about 0.5 s. ``run`` on it is thread-safe.

    Raises ``ConfigError`` where the runtime is missing or the file is no model.
    """
    try:
        import onnxruntime
    except ImportError as missing:
        raise ConfigError(
            "Local models need onnxruntime: install it with `uv sync --extra local` (`pip install voice-agent[local]`)."
        ) from missing
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors reach us as exceptions; stderr belongs to the log
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as broken:  # the runtime has no common base for its errors
        raise ConfigError(f"{path} cannot be opened as a model: {broken}") from broken
