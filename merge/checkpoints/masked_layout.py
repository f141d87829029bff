"""Which tensors of a checkpoint are weights that torch.nn.utils.prune keeps as ``X_orig`` and ``X_mask``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..dtypes import DTYPES
from ..errors import MergeError
from .checkpoint import Source
from .header import TensorInfo
from .wrapped import in_place_of

ORIGINAL, MASK = "_orig", "_mask"
HINT = "a mask of torch.nn.utils.prune is 0 or 1 for every entry; prune.remove(module, name) before saving applies it"


class Masked(NamedTuple):
    """What is stored for a pruned weight."""

    original: TensorInfo
    mask: TensorInfo


def find_masked(source: Source) -> dict[str, Masked]:
    """Return the pruned weights of a checkpoint by the names that they are used under.

    Raises:
        MergeError: A mask has another shape than its weight, or the weight is there a second time.
    """
    found = {}
    for name, original in source.tensors.items():
        plain = name.removesuffix(ORIGINAL)
        mask = source.tensors.get(f"{plain}{MASK}") if name.endswith(ORIGINAL) else None
        if mask is not None:
            _check(source, plain, original, mask)
            found[plain] = Masked(original, mask)
    return found


def _check(source: Source, plain: str, original: TensorInfo, mask: TensorInfo) -> None:
    what = None
    if mask.shape != original.shape:
        what = f"'{mask.name}' has the shape {list(mask.shape)} and '{original.name}' {list(original.shape)}"
    elif plain in source.tensors:
        what = f"holds '{plain}' and also '{original.name}' with '{mask.name}', of which it is made"
    elif "opaque" in (DTYPES[original.dtype].kind, DTYPES[mask.dtype].kind):
        what = f"'{original.name}' ({original.dtype}) and '{mask.name}' ({mask.dtype}) cannot be multiplied"
    if what is not None:
        raise MergeError(what, where=source.location, hint=HINT)


def unmasked(source: Source, masked: Mapping[str, Masked]) -> dict[str, TensorInfo]:
    """Return the tensors with every weight in the place of its original, and without the masks."""
    read = {each.original.name: each.original._replace(name=name) for name, each in masked.items()}
    return in_place_of(source.tensors, read, {each.mask.name for each in masked.values()})


def note_of(masked: Mapping[str, Masked]) -> str:
    """Return what a reader should know."""
    count = f"{len(masked):,} weight{'s are' if len(masked) > 1 else ' is'}"
    return f"{count} pruned by masks of torch.nn.utils.prune, read as '…{ORIGINAL}' times '…{MASK}'"
