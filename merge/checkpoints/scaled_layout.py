"""Which tensors of a checkpoint are 8-bit floats with scales that are known how to apply, and which are not.

A value is entry times factor. DeepSeek-V3 and the `fp8` scheme of transformers store a matrix as `NAME`, 8-bit floats,
and `NAME_scale_inv`, a factor for every block of 128 x 128 entries; others store `NAME_scale`, a factor for the matrix
or for each of its rows (`compressed-tensors`, `fbgemm_fp8`); single files for ComfyUI `PREFIX.scale_weight`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..errors import MergeError
from .checkpoint import Source
from .header import TensorInfo
from .scaled_settings import KNOWN, UNSTATED, Settings, settings_of, stated_quantisation

EIGHT_BITS = frozenset({"F8_E4M3", "F8_E5M2"})
POWERS = "F8_E8M0"  # factors of this type are powers of two
SCALE_TYPES = frozenset({"F32", "BF16", "F16", "F64", POWERS})
_SUFFIXES = {"_scale_inv": "", "_scale": "", ".scale_weight": ".weight"}  # of a scale's name, and what the weight's has
_MARKERS = ("scaled_fp8", ".comfy_quant")  # tensors that tell ComfyUI that others have scales
_INPUTS = (".input_scale", ".activation_scale", ".input_scale_inv", ".input_activation_scale", ".scale_input")
_ACTIVATIONS = (*_INPUTS, ".output_scale", ".scale_output")
_CACHES = (".k_scale", ".v_scale", ".q_scale", ".kv_scale")
_HINT = "merge the unquantised checkpoints"


class Scaled(NamedTuple):
    """A weight and its scale.

    Attributes:
        weight: 8-bit floats; [..., rows, columns].
        scale: A factor for each block, or one for all.
        block: Rows and columns of a block.
        power_of_two: Whether factors are.
    """

    weight: TensorInfo
    scale: TensorInfo
    block: tuple[int, int]
    power_of_two: bool = False


def is_marker(name: str) -> bool:
    """Tell whether a tensor holds no weights, and says that others are 8-bit floats with scales."""
    return name.endswith(_MARKERS)


def find_scaled(source: Source) -> dict[str, Scaled]:
    """Return the weights of a checkpoint that have scales, by their names; nothing where it is of another kind.

    Raises:
        MergeError: It is of this kind, and something in it is not known how to apply.
    """
    if not any(tensor.dtype in EIGHT_BITS and not is_marker(tensor.name) for tensor in source.tensors.values()):
        return {}
    stated = stated_quantisation(source.config)
    if stated is not None and stated.get("quant_method") not in KNOWN:
        return {}
    settings = settings_of(stated, source.location) if stated is not None else UNSTATED
    pairs = dict(_pairs(source.tensors))
    if settings is None or not (pairs or stated or any(map(is_marker, source.tensors))):
        return {}
    _refuse_static(source, settings)
    found = {name: _fitted(source, name, scale, settings) for name, scale in pairs.items()}
    _refuse_left(source, found, settings)
    return found


def _pairs(tensors: Mapping[str, TensorInfo]) -> Iterator[tuple[str, TensorInfo]]:
    """Yield the names of weights, and the scale of each."""
    for name in tensors:
        weight = _weight_of(name)
        if weight != name and weight in tensors and tensors[weight].dtype in EIGHT_BITS:
            yield weight, tensors[name]


def _weight_of(name: str) -> str:
    """Return the name of the weight that a scale of this name would be of, or the name itself."""
    for suffix, rest in _SUFFIXES.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix) + rest
    return name


def _refuse_static(source: Source, settings: Settings) -> None:
    static = next((name for name in source.tensors if name.endswith(_ACTIVATIONS + _CACHES)), None)
    if static is not None:
        what = f"'{static}' scales activations, as they were measured on the quantised model: a merge would not fit it"
        raise MergeError(what, where=source.location, hint=_HINT)
    if settings.is_static:
        what = "its config.json states static scales of activations (activation_scheme)"
        raise MergeError(what, where=source.location, hint=_HINT)


def _fitted(source: Source, name: str, scale: TensorInfo, settings: Settings) -> Scaled:
    """Return a weight with its scale, checked against each other."""
    weight, shape = source.tensors[name], source.tensors[name].shape
    if scale.dtype not in SCALE_TYPES:
        what = f"the scale '{scale.name}' is {scale.dtype}, which is not known how to apply"
        raise MergeError(what, where=source.location, hint=_HINT)
    block = _block_of(shape, scale.shape, settings)
    if block is None:
        what = f"the scale '{scale.name}' is {list(scale.shape)}, which does not fit '{name}', {list(shape)}"
        height, width = settings.block
        raise MergeError(f"{what}, in blocks of {height} x {width}", where=source.location)
    return Scaled(weight, scale, block, settings.power_of_two or scale.dtype == POWERS)


def _block_of(shape: tuple[int, ...], scale: tuple[int, ...], settings: Settings) -> tuple[int, int] | None:
    """Return rows and columns of the entries that share a factor, or None where the shapes do not fit.

    Where a config.json states blocks, one factor for many blocks is one that is wrong.
    """
    blocks, (rows, columns) = _blocks(shape, settings.block), (1, *shape)[-2:] if shape else (1, 1)
    if math.prod(scale) == 1 and not (settings.has_blocks and math.prod(blocks) > 1):
        return max(1, rows), max(1, columns)
    if len(shape) >= 2 and scale == blocks:
        return settings.block
    if settings.has_blocks or len(shape) < 2 or len(scale) != len(shape) or scale[:-2] != shape[:-2]:
        return None
    if scale[-2] not in (1, rows) or scale[-1] not in (1, columns):
        return None
    return (1 if scale[-2] == rows else max(1, rows)), (1 if scale[-1] == columns else max(1, columns))


def shows_its_block(scaled: Scaled) -> bool:
    """Tell whether shapes alone say which entries share a factor, as in a file with no config.json beside it."""
    return _block_of(scaled.weight.shape, scaled.scale.shape, UNSTATED) == scaled.block


def _blocks(shape: tuple[int, ...], block: tuple[int, int]) -> tuple[int, ...]:
    """Return how many blocks a weight has along each axis; one of fewer than two axes has no blocks."""
    if len(shape) < 2:
        return ()
    return *shape[:-2], -(-shape[-2] // block[0]), -(-shape[-1] // block[1])


def _refuse_left(source: Source, found: Mapping[str, Scaled], settings: Settings) -> None:
    """Refuse 8-bit floats without a scale or with two, and scales without 8-bit floats."""
    scales = {scaled.scale.name for scaled in found.values()}
    for name in sorted(source.tensors.keys() - found.keys() - scales):
        dtype, weight = source.tensors[name].dtype, _weight_of(name)
        if dtype in EIGHT_BITS and not is_marker(name):
            what = f"'{name}' is {dtype} and has no scale: {_expected(source.tensors[name], found, settings)}"
            raise MergeError(what, where=source.location, hint="is a file missing, or a part of the download?")
        if weight != name and weight in found:
            what = f"'{weight}' has two scales, '{found[weight].scale.name}' and '{name}'"
            raise MergeError(what, where=source.location, hint=_HINT)
        if name.endswith(("_scale_inv", ".scale_weight")):
            what = f"the scale '{name}' belongs to no tensor of 8-bit floats"
            raise MergeError(what, where=source.location, hint="is a file missing?")


def _expected(weight: TensorInfo, found: Mapping[str, Scaled], settings: Settings) -> str:
    """Return which scale a weight should have, as others have theirs or as config.json says."""
    like = next(iter(found.values()), None)
    kinds = Counter(scaled.scale.name.removeprefix(name) for name, scaled in found.items())
    kind = kinds.most_common(1)[0][0] if kinds else "_scale_inv" if settings.has_blocks else "_scale"
    name = weight.name + kind if kind.startswith("_") else f"{weight.name.rpartition('.')[0]}.scale_weight"
    if settings.has_blocks or (like and like.block == settings.block):
        return f"'{name}' of shape {list(_blocks(weight.shape, settings.block))} is expected"
    return f"'{name}' is expected"
