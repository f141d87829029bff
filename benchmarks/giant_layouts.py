"""A giant mixture of experts in the manner of DeepSeek-V3, as sparse files that take no room: names, types and shapes.

The same layout in bfloat16, and in 8-bit floats with a scale for every block of 128 x 128 entries.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

BLOCK = 128
_BYTES = {"BF16": 2, "F32": 4, "F8_E4M3": 1}
Entry = tuple[str, tuple[int, ...]]  # type and shape


class Giant(NamedTuple):
    """How large a mixture of experts is: as DeepSeek-V3, with 68 layers for 61, is 1.5 TB in bfloat16.

    Attributes:
        dense: Layers in front that have no experts.
        inner: Width within an expert; a layer without experts has nine times as much.
        shards: Files that the tensors are spread over.
    """

    layers: int = 68
    dense: int = 3
    experts: int = 256
    hidden: int = 7168
    inner: int = 2048
    vocabulary: int = 129280
    heads: int = 128
    shards: int = 200


def layout(giant: Giant, *, scaled: bool) -> dict[str, Entry]:
    """Return the type and shape of every tensor, in the order of the layers.

    Args:
        giant: How large.
        scaled: Whether matrices are 8-bit floats with scales; norms, embeddings and routers never are.
    """
    embedding = ("BF16", (giant.vocabulary, giant.hidden))
    found: dict[str, Entry] = {"model.embed_tokens.weight": embedding}
    for number in range(giant.layers):
        for name, shape in _layer(giant, number):
            found |= _tensor(f"model.layers.{number}.{name}", shape, scaled=scaled and len(shape) == 2)
        if number >= giant.dense:
            found[f"model.layers.{number}.mlp.gate.weight"] = ("BF16", (giant.experts, giant.hidden))
    return found | {"model.norm.weight": ("BF16", (giant.hidden,)), "lm_head.weight": embedding}


def _tensor(name: str, shape: tuple[int, ...], *, scaled: bool) -> dict[str, Entry]:
    if not scaled:
        return {f"{name}.weight": ("BF16", shape)}
    blocks = tuple(-(-length // BLOCK) for length in shape)
    return {f"{name}.weight": ("F8_E4M3", shape), f"{name}.weight_scale_inv": ("F32", blocks)}


def _layer(giant: Giant, number: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the modules of a layer with the shapes of their weights; attention has low rank, as in DeepSeek-V3."""
    hidden, heads = giant.hidden, giant.heads
    yield "input_layernorm", (hidden,)
    yield "self_attn.q_a_proj", (1536, hidden)
    yield "self_attn.q_a_layernorm", (1536,)
    yield "self_attn.q_b_proj", (heads * 192, 1536)
    yield "self_attn.kv_a_proj_with_mqa", (576, hidden)
    yield "self_attn.kv_a_layernorm", (512,)
    yield "self_attn.kv_b_proj", (heads * 256, 512)
    yield "self_attn.o_proj", (hidden, heads * 128)
    yield "post_attention_layernorm", (hidden,)
    experts = [f"experts.{expert}." for expert in range(giant.experts)]
    for part in [""] if number < giant.dense else [*experts, "shared_experts."]:
        inner = giant.inner if part else 9 * giant.inner
        yield f"mlp.{part}gate_proj", (inner, hidden)
        yield f"mlp.{part}up_proj", (inner, hidden)
        yield f"mlp.{part}down_proj", (hidden, inner)


def config(giant: Giant, *, scaled: bool) -> dict[str, Any]:
    """Return the ``config.json`` that goes with a layout."""
    found: dict[str, Any] = {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "hidden_size": giant.hidden,
        "num_hidden_layers": giant.layers,
        "n_routed_experts": giant.experts,
        "moe_intermediate_size": giant.inner,
        "vocab_size": giant.vocabulary,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    block = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [BLOCK, BLOCK]}
    return {**found, "quantization_config": block} if scaled else found


def nbytes(entries: Mapping[str, Entry]) -> int:
    """Return the bytes of all tensors."""
    return sum(_BYTES[dtype] * math.prod(shape) for dtype, shape in entries.values())


def write_giant(folder: Path, giant: Giant, *, scaled: bool) -> int:
    """Write a sparse checkpoint in shards of about the same size; return its bytes."""
    entries = layout(giant, scaled=scaled)
    shards = _shards(entries, giant.shards)
    folder.mkdir(parents=True)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):06d}.safetensors"
        write_shard(folder / file, {name: entries[name] for name in names})
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": nbytes(entries)}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config(giant, scaled=scaled), indent=2))
    return nbytes(entries)


def _shards(entries: Mapping[str, Entry], count: int) -> list[list[str]]:
    """Return the names in each shard: neighbours together, in as many shards as were asked for."""
    limit, total = nbytes(entries) / count, 0.0
    shards: list[list[str]] = [[] for _ in range(count)]
    for name, entry in entries.items():
        shards[min(count - 1, int(total / limit))].append(name)
        total += nbytes({name: entry})
    return [names for names in shards if names]


def write_shard(path: Path, entries: Mapping[str, Entry], data: Sequence[bytes] = ()) -> None:
    """Write one file: its header, and zeros that take no room."""
    header, end = {}, 0
    for name, (dtype, shape) in entries.items():
        start, end = end, end + _BYTES[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}, separators=(",", ":")).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(data))
        file.truncate(8 + len(text) + end)
