"""Which tensors of a checkpoint are 8-bit floats with scales that are known how to apply, and which are not.

DeepSeek-V3 and the `fp8` scheme of transformers store a matrix as `NAME`, 8-bit floats, and `NAME_scale_inv`, a factor
for every block of 128 x 128 entries; others store `NAME_scale`, a factor for the matrix. A value is entry times factor.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import MergeError
from .checkpoint import Source
from .header import TensorInfo

EIGHT_BITS = frozenset({"F8_E4M3", "F8_E5M2"})
SCALE_TYPES = frozenset({"F32", "BF16", "F16", "F64"})
SUFFIXES = ("_scale_inv", "_scale")
_ACTIVATIONS = (".input_scale", ".activation_scale", ".input_scale_inv", ".input_activation_scale", ".output_scale")
_CACHES = (".k_scale", ".v_scale", ".q_scale", ".kv_scale")
_STATED = frozenset({"quantization_config", "compression_config"})
_SCHEME = "fp8"
_BLOCK = (128, 128)
_HINT = "merge the unquantised checkpoints"


class Scaled(NamedTuple):
    """A weight and its scale.

    Attributes:
        weight: 8-bit floats; [..., rows, columns].
        scale: A factor for each block, or one for all.
        block: Rows and columns of a block.
    """

    weight: TensorInfo
    scale: TensorInfo
    block: tuple[int, int]


def find_scaled(source: Source) -> dict[str, Scaled]:
    """Return the weights of a checkpoint that have scales, by their names; nothing where it is of another kind.

    Raises:
        MergeError: It is of this kind, and something in it is not known how to apply.
    """
    if not any(tensor.dtype in EIGHT_BITS for tensor in source.tensors.values()):
        return {}
    settings = stated_quantisation(source.config) or {}
    if settings and settings.get("quant_method") != _SCHEME:
        return {}
    pairs = dict(_pairs(source.tensors))
    if not (pairs or settings):
        return {}
    _refuse_static(source, settings)
    block, stated = _block(source, settings), bool(settings.get("weight_block_size"))
    found = {name: _fitted(source, name, scale, block, stated=stated) for name, scale in pairs.items()}
    _refuse_left(source, found)
    return found


def stated_quantisation(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a config.json states of quantisation, for the model or a part of it; None where it says nothing."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            found = value if key in _STATED else stated_quantisation(value)
            if found is not None:
                return found
    return None


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json that says nothing of quantisation, neither of the model nor of a part of it."""
    return {
        key: plain_config(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if key not in _STATED
    }


def _pairs(tensors: Mapping[str, TensorInfo]) -> Iterator[tuple[str, TensorInfo]]:
    """Yield the names of weights, and the scale of each."""
    for name in [name for name in tensors if name.endswith(SUFFIXES)]:
        weight = name[: -len(SUFFIXES[0])] if name.endswith(SUFFIXES[0]) else name[: -len(SUFFIXES[1])]
        if weight in tensors and tensors[weight].dtype in EIGHT_BITS:
            yield weight, tensors[name]


def _refuse_static(source: Source, settings: Mapping[str, Any]) -> None:
    static = next((name for name in source.tensors if name.endswith(_ACTIVATIONS + _CACHES)), None)
    if static is not None:
        what = f"'{static}' scales activations, as they were measured on the quantised model: a merge would not fit it"
        raise MergeError(what, where=source.location, hint=_HINT)
    if settings.get("activation_scheme") == "static":
        what = "its config.json states static scales of activations (activation_scheme)"
        raise MergeError(what, where=source.location, hint=_HINT)


def _fitted(source: Source, name: str, scale: TensorInfo, block: tuple[int, int], *, stated: bool) -> Scaled:
    """Return a weight with its scale, checked against each other.

    Args:
        source: The checkpoint.
        name: The weight's name.
        scale: The scale.
        block: Rows and columns of a block.
        stated: Whether its config.json says so; then one factor for many blocks is one that is wrong.
    """
    weight, shape = source.tensors[name], source.tensors[name].shape
    if scale.dtype not in SCALE_TYPES:
        what = f"the scale '{scale.name}' is {scale.dtype}, which is not known how to apply"
        raise MergeError(what, where=source.location, hint=_HINT)
    blocks = _blocks(shape, block)
    if math.prod(scale.shape) == 1 and not (stated and math.prod(blocks) > 1):
        rows, columns = (1, *shape)[-2:]
        return Scaled(weight, scale, (max(1, rows), max(1, columns)))
    if len(shape) < 2 or scale.shape != blocks:
        what = f"the scale '{scale.name}' is {list(scale.shape)}, which does not fit '{name}', {list(shape)}"
        raise MergeError(f"{what}, in blocks of {block[0]} x {block[1]}", where=source.location)
    return Scaled(weight, scale, block)


def _blocks(shape: tuple[int, ...], block: tuple[int, int]) -> tuple[int, ...]:
    """Return how many blocks a weight has along each axis; one of fewer than two axes has no blocks."""
    if len(shape) < 2:
        return ()
    return *shape[:-2], -(-shape[-2] // block[0]), -(-shape[-1] // block[1])


def _block(source: Source, settings: Mapping[str, Any]) -> tuple[int, int]:
    found = settings.get("weight_block_size") or _BLOCK
    if not (isinstance(found, list | tuple) and len(found) == 2 and all(type(n) is int and n > 0 for n in found)):
        raise MergeError(f"its config.json states the weight_block_size {found!r}", where=source.location)
    return found[0], found[1]


def _refuse_left(source: Source, found: Mapping[str, Scaled]) -> None:
    """Refuse 8-bit floats without a scale or with two, and scales without 8-bit floats."""
    scales = {scaled.scale.name for scaled in found.values()}
    for name in sorted(source.tensors.keys() - found.keys() - scales):
        dtype = source.tensors[name].dtype
        if dtype in EIGHT_BITS:
            raise MergeError(f"'{name}' is {dtype} and has no scale, as others have", where=source.location)
        weight = name.removesuffix(SUFFIXES[0]).removesuffix(SUFFIXES[1])
        if weight != name and weight in found:
            what = f"'{weight}' has two scales, '{found[weight].scale.name}' and '{name}'"
            raise MergeError(what, where=source.location, hint=_HINT)
        if name.endswith(SUFFIXES[0]):
            what = f"the scale '{name}' belongs to no tensor of 8-bit floats"
            raise MergeError(what, where=source.location, hint="is a file missing?")
