"""The tensors of a single-file adapter, sorted by module and by what each is for its module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...checkpoints.header import TensorInfo
from ...errors import MergeError, UsageError

Parts = dict[str, TensorInfo]

# What ends a key ▸ what it is for its module. Trainers, LyCORIS, diffusers (three ways) and PEFT each write their own.
_LEAVES = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_mid.weight": "mid",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_A": "down",
    ".lora_B": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    "_lora.down.weight": "down",
    "_lora.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_up.bias": "shift",
    ".lora_B.bias": "shift",
    ".alpha": "alpha",
    ".lora.alpha": "alpha",
    ".lora_linear_layer.alpha": "alpha",
    "_lora.alpha": "alpha",
    ".dora_scale": "magnitude",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".lora.dora_scale": "magnitude",
    **{f".hada_{part}": f"hada_{part}" for part in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")},
    **{f".lokr_{part}": f"lokr_{part}" for part in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")},
    ".diff": "diff",
    ".diff_b": "diff_b",
    ".w_norm": "w_norm",
    ".b_norm": "b_norm",
}
# What ends a key of a kind that is not read ▸ its name.
_NOT_READ = {
    ".on_input": "(IA)³",
    ".a1.weight": "GLoRA",
    ".bm.weight": "GLoRA",
    ".oft_blocks": "OFT or BOFT",
    ".oft_diag": "OFT",
    ".rescale": "OFT or BOFT",
    ".lambda_layer": "T-LoRA",
    ".bias_indices": "a sparse bias of early LyCORIS",
    ".bias_values": "a sparse bias of early LyCORIS",
    ".bias_size": "a sparse bias of early LyCORIS",
    ".lokr_t1": "a LoKr with a core in its first matrix",
    ".lora_E": "AdaLoRA",
    ".lora_embedding_A": "a LoRA of an embedding without its adapter_config.json",
    ".lora_embedding_B": "a LoRA of an embedding without its adapter_config.json",
    ".vera_lambda_b": "VeRA",
    ".set_weight": "ComfyUI's replacement of whole weights",
    ".reshape_weight": "ComfyUI's reshaping of weights",
}
_BUNDLED = "bundle_emb."  # embeddings that a user interface looks up in the prompt; no part of the model
_LONGEST_FIRST = sorted(_LEAVES, key=len, reverse=True)
_OTHER = re.compile(r"(\.|_)(lora|lycoris|hada|lokr|oft|boft|dora|loha)")


@dataclass
class Keys:
    """What a single-file adapter holds.

    Attributes:
        modules: By the module as the file calls it, its tensors by what they are for it.
        bundled: How many tensors are embeddings that lie in the file beside the adapter.
    """

    modules: dict[str, Parts] = field(default_factory=dict)
    bundled: int = 0


def is_single_file(names: Iterable[str]) -> bool:
    """Tell whether names are those of an adapter that kohya's trainer, LyCORIS or diffusers wrote, and not PEFT."""
    return any(
        name.endswith((*_NOT_READ, *_OURS)) or name.startswith(_BUNDLED)
        for name in names
        if not name.startswith("base_model.")
    )


_OURS = tuple(leaf for leaf in _LEAVES if not leaf.startswith((".lora_A", ".lora_B", ".lora_mag", ".hada", ".lokr")))


def sort_keys(tensors: Mapping[str, TensorInfo], where: str) -> Keys:
    """Sort an adapter's tensors.

    Raises:
        MergeError: It is of a kind that is not read, or a tensor is nothing of an adapter.
    """
    found = Keys()
    for key, tensor in tensors.items():
        if key.startswith(_BUNDLED):
            found.bundled += 1
            continue
        leaf = next((leaf for leaf in _LONGEST_FIRST if key.endswith(leaf)), None)
        if leaf is None or len(leaf) == len(key):
            raise _unread(key, where)
        parts = found.modules.setdefault(_tidied(key[: -len(leaf)]), {})
        if _LEAVES[leaf] in parts:
            raise MergeError(f"holds the tensor '{key}' twice, once under another name", where=where)
        parts[_LEAVES[leaf]] = tensor
    if not found.modules:
        raise MergeError("the adapter holds no tensors", where=where)
    return found


def _tidied(module: str) -> str:
    """Return a module's name without what PEFT and the attention processors of early diffusers put into it."""
    module = module.removeprefix("base_model.model.").replace(".base_layer", "").replace(".processor.", ".")
    return f"{module}.0" if module.endswith(".to_out") else module


def _unread(key: str, where: str) -> MergeError:
    kind = next((name for leaf, name in _NOT_READ.items() if key.endswith(leaf)), None)
    hint = "let the program that trained it bake it, and name the outcome"
    if kind:
        return MergeError(f"'{key}' is part of {kind}, which is not read", where=where, hint=hint)
    if _OTHER.search(key):
        return MergeError(f"'{key}' is of an adapter of a kind that is not known", where=where, hint=hint)
    what = f"holds '{key}', which is no tensor of an adapter"
    return UsageError(what, where=where, hint="is it a model? models are merged by naming them side by side")
