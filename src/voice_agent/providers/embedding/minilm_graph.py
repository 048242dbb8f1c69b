"""Builds an ONNX graph of all-MiniLM-L6-v2 (a 6-layer BERT, 384 wide) from its safetensors weights.

The graph takes one text at a time: ``ids`` int64 (1, n) in, ``embedding`` float32 (1, 384) of unit length out. Without
padding there is no attention mask, and because activations are quantised per tensor, a text's embedding never depends
on what else is embedded beside it.

Two precisions. ``fp32`` keeps the weights (87 MB). ``int8`` (23 MB) stores each matrix by output channel and each word
vector by row as signed 8-bit numbers with a float scale, and quantises activations as they come (ONNX Runtime's
``DynamicQuantizeMatMul``). Matrix weights use 7 of the 8 bits: on x86 processors without VNNI the 8-bit kernel adds
pairs of products in 16 bits and would overflow with the full range (ONNX Runtime's quantisation guide, "reduce_range").

Sources: BERT (Devlin et al. 2018) for the layers; the model card of sentence-transformers/all-MiniLM-L6-v2 for mean
pooling and unit length.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Precision = Literal["int8", "fp32"]
Array = NDArray[Any]

LAYERS = 6
WIDTH = 384
HEADS = 12
LAYER_NORM_EPSILON = 1e-12  # the model's own ``layer_norm_eps``
GRAPH_VERSION = "1"  # part of the cache key: raise it when the graph changes
_MATRIX_LIMIT = 63  # 7-bit weights, see above
_ROW_LIMIT = 127  # word vectors are only looked up, never multiplied in 8 bits
_OPSET = 17
_IR_VERSION = 8  # the first IR version that carries opset 17; any later runtime reads it
_DTYPES: Mapping[str, type[np.generic]] = {"F32": np.float32, "F16": np.float16, "I64": np.int64}


def read_safetensors(path: Path) -> dict[str, Array]:
    """All tensors of a safetensors file, as read-only views of the mapped file.

    Format: 8 bytes little-endian header length, a JSON header of name → dtype, shape, data_offsets, then the data.
    Raises ``ValueError`` if the file is cut or holds another format, ``OSError`` if it cannot be read.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    header_bytes = int.from_bytes(data[:8], "little")
    start = 8 + header_bytes
    if start > len(data):
        raise ValueError(f"{path} is not a safetensors file: its header would end beyond the file")
    try:
        header: dict[str, Any] = json.loads(data[8:start])
    except ValueError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None
    tensors: dict[str, Array] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        if start + end > len(data):
            raise ValueError(f"{path} is cut short: tensor {name} ends beyond the file")
        dtype = np.dtype(_DTYPES[entry["dtype"]]).newbyteorder("<")
        flat = np.frombuffer(data, dtype=dtype, count=(end - begin) // dtype.itemsize, offset=start + begin)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def quantize(matrix: Array, axis: int, limit: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric 8-bit numbers and one scale per slice along the *other* axis: ``matrix ≈ q * scale``."""
    peak = np.abs(matrix).max(axis=axis, keepdims=True)
    scale = np.where(peak > 0, peak / limit, 1.0).astype(np.float32)
    return np.clip(np.rint(matrix / scale), -limit, limit).astype(np.int8), scale


class _Graph:
    """Collects nodes and constants; names are given by the caller and must be unique."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Array] = {}

    def constant(self, name: str, value: Array) -> str:
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def add(self, op: str, inputs: list[str], output: str, *, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def serialize(self) -> bytes:
        from onnx import TensorProto, helper, numpy_helper

        graph = helper.make_graph(
            self.nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "tokens"])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, WIDTH])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="voice-agent")
        return bytes(model.SerializeToString())


class _Builder:
    """The model's layers, in one precision."""

    def __init__(self, weights: Mapping[str, Array], precision: Precision) -> None:
        self._weights = weights
        self._int8 = precision == "int8"
        self._graph = _Graph()

    def build(self) -> bytes:
        hidden = self._embeddings()
        for index in range(LAYERS):
            hidden = self._layer(index, hidden)
        mean = self._graph.add("ReduceMean", [hidden], "mean", axes=[1], keepdims=0)
        self._graph.add("LpNormalization", [mean], "embedding", axis=1, p=2)
        return self._graph.serialize()

    def _embeddings(self) -> str:
        graph, weights = self._graph, self._weights
        words = weights["embeddings.word_embeddings.weight"]
        if self._int8:
            table, scale = quantize(words, axis=1, limit=_ROW_LIMIT)
            rows = graph.add("Gather", [graph.constant("words", table), "ids"], "rows_int8")
            scales = graph.add("Gather", [graph.constant("words_scale", scale), "ids"], "rows_scale")
            cast = graph.add("Cast", [rows], "rows_cast", to=1)  # 1: TensorProto.FLOAT
            rows = graph.add("Mul", [cast, scales], "rows")
        else:
            rows = graph.add("Gather", [graph.constant("words", words), "ids"], "rows")
        # Every token is of segment 0, so its segment vector is added to the positions once and for all.
        segment = weights["embeddings.token_type_embeddings.weight"][0]
        positions = graph.constant("positions", weights["embeddings.position_embeddings.weight"] + segment)
        shape = graph.add("Shape", ["ids"], "tokens", start=1, end=2)
        zero = graph.constant("zero", np.array([0], np.int64))
        here = graph.add("Slice", [positions, zero, shape, zero], "positions_here")
        summed = graph.add("Add", [rows, here], "embedded")
        return self._layer_norm(summed, "embeddings.LayerNorm", "embedded_norm")

    def _layer(self, index: int, hidden: str) -> str:
        prefix, out = f"encoder.layer.{index}", f"layer{index}"
        attended = self._attention(prefix, out, hidden)
        projected = self._dense(attended, *self._matrix(f"{prefix}.attention.output.dense"), f"{out}.attended")
        summed = self._graph.add("Add", [projected, hidden], f"{out}.attended_sum")
        middle = self._layer_norm(summed, f"{prefix}.attention.output.LayerNorm", f"{out}.attended_norm")
        widened = self._dense(middle, *self._matrix(f"{prefix}.intermediate.dense"), f"{out}.wide")
        active = self._graph.add("Gelu", [widened], f"{out}.gelu", domain="com.microsoft")
        narrowed = self._dense(active, *self._matrix(f"{prefix}.output.dense"), f"{out}.narrow")
        summed = self._graph.add("Add", [narrowed, middle], f"{out}.sum")
        return self._layer_norm(summed, f"{prefix}.output.LayerNorm", f"{out}.norm")

    def _attention(self, prefix: str, out: str, hidden: str) -> str:
        parts = [self._matrix(f"{prefix}.attention.self.{name}") for name in ("query", "key", "value")]
        matrix = np.concatenate([part[0] for part in parts], axis=1)
        bias = np.concatenate([part[1] for part in parts])
        joined = self._dense(hidden, matrix, bias, f"{out}.qkv")
        from onnx import helper

        names = [f"{out}.query", f"{out}.key", f"{out}.value"]
        sizes = self._graph.constant(f"{out}.qkv_sizes", np.array([WIDTH] * 3, np.int64))
        self._graph.nodes.append(helper.make_node("Split", [joined, sizes], names, axis=2))
        scale = 1 / math.sqrt(WIDTH // HEADS)
        return self._graph.add(
            "MultiHeadAttention", names, f"{out}.attention", domain="com.microsoft", num_heads=HEADS, scale=scale
        )

    def _matrix(self, name: str) -> tuple[Array, Array]:
        """(inputs, outputs) matrix and bias of a dense layer; the file stores (outputs, inputs)."""
        return self._weights[f"{name}.weight"].T, self._weights[f"{name}.bias"]

    def _dense(self, source: str, matrix: Array, bias: Array, out: str) -> str:
        graph = self._graph
        bias_name = graph.constant(f"{out}.bias", bias)
        if not self._int8:
            product = graph.add("MatMul", [source, graph.constant(f"{out}.matrix", matrix)], f"{out}.product")
            return graph.add("Add", [product, bias_name], out)
        values, scale = quantize(matrix, axis=0, limit=_MATRIX_LIMIT)
        names = [
            graph.constant(f"{out}.matrix", values),
            graph.constant(f"{out}.scale", scale[0]),
            graph.constant(f"{out}.zero", np.zeros(scale.shape[1], np.int8)),
        ]
        return graph.add("DynamicQuantizeMatMul", [source, *names, bias_name], out, domain="com.microsoft")

    def _layer_norm(self, source: str, name: str, out: str) -> str:
        gain = self._graph.constant(f"{out}.gain", self._weights[f"{name}.weight"])
        shift = self._graph.constant(f"{out}.shift", self._weights[f"{name}.bias"])
        return self._graph.add("LayerNormalization", [source, gain, shift], out, axis=-1, epsilon=LAYER_NORM_EPSILON)


def build_onnx(weights: Mapping[str, Array], precision: Precision) -> bytes:
    """The serialised ONNX model. Raises ``KeyError`` if a weight of the architecture is missing."""
    return _Builder(weights, precision).build()
