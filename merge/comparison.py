"""How two checkpoints differ: distances, angles and sign conflicts, in float64 sums over pieces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .checkpoints.checkpoint import Source
from .checkpoints.header import TensorInfo
from .checkpoints.resolve import open_checkpoint
from .diffusion.families import described
from .diffusion.renamed import under_names_of
from .documents import DiffDocument, TensorDifference
from .dtypes import DTYPES
from .errors import MergeError
from .inspection import pieces
from .planning.names import match_names


class _Sums(NamedTuple):
    """Sums over elements, of two models and, less the base, of their task vectors."""

    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0
    dd: float = 0.0
    largest: float = 0.0
    task_aa: float = 0.0
    task_bb: float = 0.0
    task_ab: float = 0.0
    conflicts: float = 0
    moved: float = 0

    def __add__(self, other: object) -> _Sums:
        assert isinstance(other, _Sums)  # noqa: S101 - private
        added = [one + two for one, two in zip(self, other, strict=True)]
        return _Sums(*added)._replace(largest=max(self.largest, other.largest))

    @property
    def relative_l2(self) -> float:
        return math.sqrt(self.dd / self.aa) if self.aa else math.sqrt(self.dd)


def diff(a: str, b: str, base: str | None = None) -> DiffDocument:
    """Compare two checkpoints: distances and angles, and with a base those of their task vectors.

    Sign conflicts are the share of entries that both models moved, in opposite directions.

    Raises:
        MergeError: When one cannot be read, or the base lacks a tensor that both have.
    """
    opened = [open_checkpoint(location) for location in (a, b, *([base] if base else []))]
    try:
        read: list[Source] = [opened[0], *(under_names_of(opened[0], other) for other in opened[1:])]
        matched = [match_names(opened[0], other) for other in read]
        known = opened[0].tensors
        common = [name for name in known if name in matched[1].tensors]
        alike = [name for name in common if _alike([match.tensors.get(name) for match in matched], name, base)]
        sums = {name: _compare([(o, m.tensors[name]) for o, m in zip(read, matched, strict=True)]) for name in alike}
        total = sum(sums.values(), _Sums())
        floating = [name for name in common if DTYPES[known[name].dtype].kind == "float"]
        only_b = [*matched[1].extra, *matched[1].tied]
        only_a = [name for name in known if name not in matched[1].tensors]
        unlike = [name for name in floating if name not in sums]
        overall = _difference("", total, base)
        return {
            "a": a,
            "b": b,
            "base": base,
            "families": [described(source.tensors) for source in opened],
            "identical": not (total.dd or only_a or only_b or unlike),
            "relative_l2": overall["relative_l2"] if sums else None,
            "cosine": overall["cosine"],
            "task_cosine": overall["task_cosine"],
            "sign_conflicts": overall["sign_conflicts"],
            "only_in_a": only_a,
            "only_in_b": only_b,
            "unlike": unlike,
            "tensors": [_difference(name, found, base) for name, found in sums.items()],
        }
    finally:
        for source in opened:
            source.close()


def _alike(tensors: Sequence[TensorInfo | None], name: str, base: str | None) -> bool:
    """Tell whether tensors of one name can be compared number by number."""
    if base and tensors[2] is None:
        raise MergeError(f"the base has no tensor '{name}'", where=base)
    present = [tensor for tensor in tensors if tensor is not None]
    return len({tensor.shape for tensor in present}) == 1 and all(DTYPES[t.dtype].kind == "float" for t in present)


def _compare(inputs: Sequence[tuple[Source, TensorInfo]]) -> _Sums:
    total = _Sums()
    for arrays in pieces(inputs):
        total += _compare_piece(arrays)
    return total


def _compare_piece(arrays: Sequence[Any]) -> _Sums:
    import numpy as np

    a, b = arrays[0], arrays[1]
    apart = a - b
    found = _Sums(
        float(np.dot(a, a)),
        float(np.dot(b, b)),
        float(np.dot(a, b)),
        float(np.dot(apart, apart)),
        float(np.abs(apart).max(initial=0)),
    )
    if len(arrays) == 2:
        return found
    one, two = a - arrays[2], b - arrays[2]
    products = one * two
    return found._replace(
        task_aa=float(np.dot(one, one)),
        task_bb=float(np.dot(two, two)),
        task_ab=float(products.sum()),
        conflicts=int(np.count_nonzero(products < 0)),
        moved=int(np.count_nonzero(products)),
    )


def _difference(name: str, sums: _Sums, base: str | None) -> TensorDifference:
    return {
        "name": name,
        "relative_l2": _finite(sums.relative_l2),
        "largest": _finite(sums.largest),
        "cosine": _cosine(sums.ab, sums.aa, sums.bb),
        "task_cosine": _cosine(sums.task_ab, sums.task_aa, sums.task_bb) if base else None,
        "sign_conflicts": sums.conflicts / sums.moved if base and sums.moved else None,
    }


def _cosine(product: float, one: float, two: float) -> float | None:
    scale = math.sqrt(one) * math.sqrt(two)
    return max(-1.0, min(1.0, product / scale)) if scale and math.isfinite(product / scale) else None


def _finite(value: float) -> float | None:
    """Return None for what infinities and NaN in a tensor make of a number; JSON has no word for them."""
    return value if math.isfinite(value) else None
