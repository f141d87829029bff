"""An adapter in the form of PEFT, with the scale of every product worked out, and refused where it is no plain sum."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from ...checkpoints.checkpoint import FileCheckpoint
from ...checkpoints.header import TensorInfo
from ...checkpoints.strength import Strength
from ...dtypes import DTYPES
from ...errors import MergeError, UsageError
from ..config import AdapterConfig
from ..contents import Contents
from ..differences import LowRank
from ..naming import OUTPUT
from ..targets import check_targets
from .member import Addend, Member

BAKE = "bake each with merge passthrough BASE+ADAPTER, merge the models, and take the adapter with merge extract-lora"
_MAGNITUDE = "lora_magnitude_vector"


def read_peft(
    location: str,
    weights: FileCheckpoint,
    config: AdapterConfig,
    contents: Contents,
    strength: Strength,
    origin: str | None,
) -> Member:
    """Return an adapter that PEFT wrote.

    Raises:
        MergeError: It adds something else than products of two factors, or its parts do not fit together.
        UsageError: A strength is asked for that it cannot have.
    """
    check_targets(contents.factors, config)
    _check(contents, config, location, strength)
    addends = {
        module: _addend(module, found, contents, config, strength.model) for module, found in contents.factors.items()
    }
    return Member(location, weights, config, addends, contents.whole, contents.tokens, origin=origin)


def _check(contents: Contents, config: AdapterConfig, where: str, strength: Strength) -> None:
    """Refuse what is no sum of products, and an adapter of nothing."""
    if not config.is_lora:
        what = f"the adapter is of type {config.values['peft_type']}, and only factors of LoRA can be laid side by side"
        raise MergeError(what, where=where, hint=BAKE)
    if config.flag("use_dora") or any(_MAGNITUDE in found for found in contents.factors.values()):
        what = "this adapter sets the magnitudes of the base's weights (DoRA), which is nothing to be summed"
        raise MergeError(what, where=where, hint=BAKE)
    if not (contents.factors or contents.whole or contents.tokens):
        raise MergeError("the adapter holds no tensors", where=where)
    if strength.model != strength.text:
        what = "a strength of its own for text encoders is one for adapters in one file, whose names tell them"
        raise UsageError(what, where=where, hint=f"={strength.model:g}")
    tensors = [*contents.whole.values(), *contents.tokens.values()]
    if tensors and strength.model != 1:
        what = f"'{tensors[0].name}' was trained whole, and so much of it cannot be told without the base's"
        raise UsageError(what, where=where, hint="merge the models BASE+ADAPTER=… instead")
    refuse_other_types([*tensors, *(one for found in contents.factors.values() for one in found.values())], where)


def refuse_other_types(tensors: list[TensorInfo], where: str) -> None:
    """Raise MergeError for tensors that are no floating ones."""
    for tensor in tensors:
        if DTYPES[tensor.dtype].kind != "float":
            raise MergeError(f"'{tensor.name}' is {tensor.dtype}, which is no floating type", where=where)


def _addend(
    module: str, found: Mapping[str, TensorInfo], contents: Contents, config: AdapterConfig, strength: float
) -> Addend:
    is_embedding = "lora_embedding_A" in found or "lora_embedding_B" in found
    a, b = _pair(module, found, config.where, is_embedding=is_embedding)
    named = _attention(module, contents)
    rank = config.rank(named)
    is_matrix = len(a.shape) > 1 < len(b.shape) and a.nbytes and b.nbytes and prod(b.shape[2:]) == 1
    if not is_matrix or a.shape[0] != rank or b.shape[1] != rank:
        what = f"the factors of '{module}' are {list(a.shape)} and {list(b.shape)}, and its rank is {rank}"
        raise MergeError(what, where=config.where, hint="do adapter_config.json and the weights belong together?")
    is_transposed = is_embedding or (len(a.shape) == 2 and config.flag("fan_in_fan_out"))
    shape = (a.shape[1], b.shape[0]) if is_transposed else (b.shape[0], *a.shape[1:])
    factors = LowRank(b, a, transposed=is_transposed)
    return Addend(factors, config.scaling(named) * strength, shape, is_embedding, found.get("lora_B.bias"))


def _pair(
    module: str, found: Mapping[str, TensorInfo], where: str, *, is_embedding: bool
) -> tuple[TensorInfo, TensorInfo]:
    """Return the two factors of a module: [rank, inputs …] and [outputs, rank …]."""
    first, second = ("lora_embedding_A", "lora_embedding_B") if is_embedding else ("lora_A", "lora_B")
    for name in (first, second):
        if name not in found:
            raise MergeError(f"'{module}' lacks its {name}", where=where, hint="save it anew")
    surplus = found.keys() - {first, second, "lora_B.bias"}
    if surplus:
        raise MergeError(f"'{module}' has a {min(surplus)}, which is not read", where=where)
    return found[first], found[second]


def _attention(module: str, contents: Contents) -> str:
    """Return the module by whose name PEFT looks up rank and alpha: for the output layer of torch's attention, it.

    Without the base it is known by its input layer, which PEFT always adapts with it.
    """
    attention = module.removesuffix(OUTPUT)
    return attention if attention != module and attention in contents.factors else module
