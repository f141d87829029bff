"""What a config.json says of 8-bit floats with scales, in the three schemes that are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import MergeError

_STATED = frozenset({"quantization_config", "compression_config"})
_FINE, _COMPRESSED, _ROWS = "fp8", "compressed-tensors", "fbgemm_fp8"
_BLOCK = (128, 128)
# Tuples, since what a config.json holds in their place may have no hash.
KNOWN = (_FINE, _COMPRESSED, _ROWS)
_FORMATS = ("float-quantized", "naive-quantized")
_STRATEGIES = ("tensor", "channel", "block")


class Settings(NamedTuple):
    """How weights and scales go together.

    Attributes:
        block: Rows and columns of a block.
        has_blocks: Whether config.json states them, for all weights.
        is_static: Whether activations have scales that were measured.
        power_of_two: Whether scales are powers of two.
    """

    block: tuple[int, int] = _BLOCK
    has_blocks: bool = False
    is_static: bool = False
    power_of_two: bool = False


UNSTATED = Settings()


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


def settings_of(stated: Mapping[str, Any], where: str) -> Settings | None:
    """Return what a statement of a known scheme says; None where its weights are no 8-bit floats with scales.

    Raises:
        MergeError: It makes no sense.
    """
    if stated.get("quant_method") == _COMPRESSED:
        return _compressed(stated, where)
    if stated.get("quant_method") == _ROWS:
        return UNSTATED
    size = stated.get("weight_block_size")
    block = _block(size, "weight_block_size", where) if size else _BLOCK
    is_static = stated.get("activation_scheme") == "static"
    return Settings(block, bool(size), is_static, stated.get("scale_fmt") == "ue8m0")


def _compressed(stated: Mapping[str, Any], where: str) -> Settings | None:
    """Return the settings of compressed-tensors where all of its groups are symmetric 8-bit floats of one layout."""
    given = stated.get("config_groups")
    groups = list(given.values()) if isinstance(given, Mapping) else []
    if not groups or not all(_is_scaled(group, stated) for group in groups):
        return None
    sparsity = stated.get("sparsity_config") or {}
    is_dense = isinstance(sparsity, Mapping) and sparsity.get("format", "dense") == "dense"
    if not is_dense or stated.get("transform_config"):
        return None
    sizes = [group["weights"].get("block_structure") for group in groups]
    blocks = {_block(size, "block_structure", where) for size in sizes if size}
    by_block = {group["weights"].get("strategy") == "block" for group in groups}
    if len(blocks) > 1 or len(by_block) > 1:
        return None
    activations = [group.get("input_activations") for group in groups]
    is_static = any(found and not (isinstance(found, Mapping) and found.get("dynamic")) for found in activations)
    return Settings(next(iter(blocks), _BLOCK), True in by_block, is_static)


def _is_scaled(group: Any, stated: Mapping[str, Any]) -> bool:
    """Tell whether a group's weights are 8-bit floats with a factor for each matrix, row or block."""
    weights = group.get("weights") if isinstance(group, Mapping) else None
    if not isinstance(weights, Mapping) or (group.get("format") or stated.get("format")) not in _FORMATS:
        return False
    is_float = weights.get("type") == "float" and weights.get("num_bits") == 8
    return is_float and weights.get("symmetric", True) is True and weights.get("strategy") in _STRATEGIES


def _block(found: Any, key: str, where: str) -> tuple[int, int]:
    if not (isinstance(found, list | tuple) and len(found) == 2 and all(type(n) is int and n > 0 for n in found)):
        raise MergeError(f"its config.json states the {key} {found!r}", where=where)
    return found[0], found[1]
