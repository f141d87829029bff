"""Makes the checkpoints that the benchmarks merge: deterministic, in small blocks, with Llama's names and shapes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Layout = Mapping[str, tuple[int, ...]]

ITEM_SIZE = {"BF16": 2, "F16": 2, "F32": 4}
_BLOCK = 1 << 20  # elements
_POOL = 1 << 22  # normal numbers, drawn once; every block is a window on them
_LAYERS = 8
_HEAD = 64
_SHARD = 5 * 10**9  # bytes


def llama_layout(gigabytes: float) -> Layout:
    """Return 75 tensors of a small Llama whose bfloat16 file has about this size.

    Args:
        gigabytes: Size of the file, in units of 10^9 bytes.
    """
    scale = math.sqrt(gigabytes)
    hidden = max(1, round(2048 * scale / _HEAD)) * _HEAD
    vocabulary = max(8, round(32000 * scale))
    left = gigabytes * 1e9 / 2 - 2 * vocabulary * hidden - _LAYERS * 4 * hidden**2
    return _llama(hidden, vocabulary, max(8, round(left / _LAYERS / 3 / hidden)), _LAYERS)


def _llama(hidden: int, vocabulary: int, inner: int, layers: int, key_value: int | None = None) -> Layout:
    narrow = key_value or hidden
    layout: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for layer in range(layers):
        tensors = {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (narrow, hidden),
            "self_attn.v_proj": (narrow, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }
        layout |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in tensors.items()}
    return layout | {"model.norm.weight": (hidden,), "lm_head.weight": (vocabulary, hidden)}


def llama_config(layout: Layout) -> dict[str, object]:
    """Return the ``config.json`` of a layout made by `llama_layout`, for tools that want one."""
    vocabulary, hidden = layout["model.embed_tokens.weight"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": layout["model.layers.0.mlp.up_proj.weight"][0],
        "num_attention_heads": hidden // _HEAD,
        "num_key_value_heads": hidden // _HEAD,
        "num_hidden_layers": _LAYERS,
        "vocab_size": vocabulary,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def many_layout(count: int) -> Layout:
    """Return this many tensors of 4,096 elements each."""
    return {f"model.blocks.{number}.weight": (4096,) for number in range(count)}


def one_layout(count: int) -> Layout:
    """Return one tensor with the elements of `many_layout`."""
    return {"model.weight": (count, 4096)}


def header(layout: Layout, dtype: str) -> tuple[bytes, int]:
    """Return the start of a safetensors file, up to its data, and how many bytes of data follow."""
    entries, end = {}, 0
    for name, shape in layout.items():
        start, end = end, end + math.prod(shape) * ITEM_SIZE[dtype]
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps({"__metadata__": {"format": "pt"}, **entries}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text, end


def write_sparse(path: Path, layout: Layout, dtype: str) -> None:
    """Write a checkpoint of zeros that takes no room on the disk."""
    start, data = header(layout, dtype)
    with path.open("wb") as file:
        file.write(start)
        file.truncate(len(start) + data)


def write_sparse_folder(folder: Path, gigabytes: float) -> None:
    """Write a sparse, sharded bfloat16 checkpoint with layers as wide as those of Llama 3.1 405B."""
    per_layer = 2 * (2 * 16384**2 + 2 * 1024 * 16384 + 3 * 53248 * 16384) / 1e9
    layout = _llama(16384, 128256, 53248, max(1, round(gigabytes / per_layer)), key_value=1024)
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    room = _SHARD
    for name, shape in layout.items():
        size = 2 * math.prod(shape)
        if size > room and shards[-1]:
            shards.append({})
            room = _SHARD
        shards[-1][name] = shape
        room -= size
    folder.mkdir()
    names = [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        write_sparse(folder / name, shard, "BF16")
    weights = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weights}))


def write_tuned(path: Path, layout: Layout, dtype: str, variant: int) -> None:
    """Write one member of a family: variant 0 is the base, the others are it plus small differences of their own.

    Needs numpy, so the benchmark runs it in a process of its own.
    """
    import ml_dtypes
    import numpy

    numbers = {"BF16": ml_dtypes.bfloat16, "F16": numpy.float16, "F32": numpy.float32}[dtype]
    pool = numpy.random.Generator(numpy.random.Philox(0)).standard_normal(_POOL + _BLOCK, dtype=numpy.float32)
    pool *= numpy.float32(0.02)
    start, data = header(layout, dtype)
    left = data // ITEM_SIZE[dtype]
    with path.open("wb") as file:
        file.write(start)
        block = 0
        while left:
            length = min(left, _BLOCK)
            values = _window(pool, 0, block, length)
            if variant:
                values = values + numpy.float32(0.05) * _window(pool, variant, block, length)
            file.write(values.astype(numbers).tobytes())
            left -= length
            block += 1


def _window(pool: Any, variant: int, block: int, length: int) -> Any:
    import numpy

    start = int(numpy.random.default_rng([variant, block]).integers(_POOL))
    return pool[start : start + length]
