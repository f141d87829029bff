"""An extraction in words and numbers: for the terminal, for programs, for the card."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt

from ...checkpoints.header import TensorInfo
from ...checkpoints.space import human
from ...dtypes import DTYPES
from ...planning.layout import nbytes_of
from ..low_rank.collecting import Kept
from .cautions import warnings_of
from .choosing import Chosen
from .document import ExtractDocument, ExtractedModule
from .extracted import Extracted, Layer
from .kinds import factor_shapes, matrix_shape
from .making import factor_bytes
from .module import Module
from .request import Extraction

WORST = 10  # layers that are listed by name


def as_document(extracted: Extracted, out: str, identity: str, notes: Sequence[str], seconds: float) -> ExtractDocument:
    """Return what ``--json`` prints."""
    extraction = extracted.extraction
    modules = [_module(layer.module, layer.kept.rank, layer.kept) for layer in extracted.layers]
    found = _document(extraction, modules, extracted.whole.tensors, extracted.left)
    return found | {
        "out": out,
        "output_id": identity,
        "input_ids": list(extracted.measured.input_ids),
        "device": extracted.measured.device,
        "energy": extracted.energy,
        "bytes": adapter_bytes(extracted),
        "notes": list(notes),
        "warnings": warnings_of(extracted),
        "seconds": round(seconds, 3),
    }


def _module(module: Module, rank: int, kept: Kept | None = None) -> ExtractedModule:
    return {
        "module": module.name,
        "tensor": module.tensor,
        "kind": module.kind,
        "shape": list(module.shape),
        "rank": rank,
        "energy": kept.energy if kept else None,
        "norm": kept.norm if kept else None,
        "relative_error": kept.error / kept.norm if kept else None,
    }


def adapter_bytes(extracted: Extracted) -> int:
    """Return the size of the adapter's tensors."""
    factors = sum(factor_bytes(layer.kept) for layer in extracted.layers)
    return factors + sum(tensor.nbytes for tensor in extracted.whole.tensors.values())


def planned(extraction: Extraction, chosen: Chosen, input_ids: Sequence[str] = ()) -> ExtractDocument:
    """Return what ``--dry-run --json`` prints: every layer at the highest rank it may get."""
    modules, nbytes = [], sum(tensor.nbytes for tensor in chosen.whole.values())
    for module in chosen.modules.values():
        rank = extraction.truncation.most(matrix_shape(module.kind, module.shape))
        nbytes += sum(nbytes_of(extraction.dtype, shape) for shape in factor_shapes(module.kind, module.shape, rank))
        modules.append(_module(module, rank))
    left = {name: (reason, None) for name, reason in {**chosen.open, **chosen.left}.items()}
    return _document(extraction, modules, chosen.whole, left) | {"input_ids": list(input_ids), "bytes": nbytes}


def _document(
    extraction: Extraction,
    modules: list[ExtractedModule],
    whole: Mapping[str, TensorInfo],
    left: Mapping[str, tuple[str, float | None]],
) -> ExtractDocument:
    """Return what is known before weights are read: the request, and what becomes of every tensor."""
    return {
        "out": str(extraction.out) if extraction.out is not None else None,
        "tuned": extraction.tuned,
        "base": extraction.base,
        "output_id": None,
        "input_ids": [],
        "options": extraction.options(),
        "device": None,
        "modules": modules,
        "whole": [{"tensor": name, "dtype": one.dtype, "shape": list(one.shape)} for name, one in whole.items()],
        "left": [{"tensor": name, "reason": reason, "norm": norm} for name, (reason, norm) in left.items()],
        "energy": None,
        "bytes": 0,
        "notes": [],
        "warnings": [],
        "seconds": 0.0,
    }


def grouped(layers: Iterable[Layer]) -> list[tuple[str, list[Layer]]]:
    """Return layers by the last part of their names, in order."""
    groups: dict[str, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(layer.module.name.rpartition(".")[2], []).append(layer)
    return list(groups.items())


def table(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """Return rows of columns, a heading first: every kind of layer with what its factors keep, the worst of it too."""
    rows: list[tuple[str, ...]] = [("layers", "count", "rank", "energy kept", "lowest", "relative error")]
    for name, alike in grouped(layers):
        low, high = (pick(layer.kept.rank for layer in alike) for pick in (min, max))
        norm = sum(layer.kept.norm**2 for layer in alike)
        error = sum(layer.kept.error**2 for layer in alike)
        lowest = min(layer.kept.energy for layer in alike)
        ranks = f"{low}" if low == high else f"{low}-{high}"
        numbers = (percent(1 - error / norm), percent(lowest), f"{sqrt(error / norm):.2g}")
        rows.append((name, str(len(alike)), ranks, *numbers))
    return rows


def percent(share: float) -> str:
    """Return a share in percent, with as many digits as tell it from 100 %, at most six."""
    lacking = 1 - share
    if lacking < 1e-8:
        return "100%"
    return f"{share:.{max(2, -math.floor(math.log10(lacking)) - 1)}%}"


def size_line(document: ExtractDocument) -> str:
    """Return the size of an adapter beside that of what it stands for."""
    width = DTYPES[document["options"]["dtype"]].torch
    count = len(document["modules"])
    return f"{count} {'layer' if count == 1 else 'layers'}, factors in {width}: {human(document['bytes'])}"
