"""An extraction in words and numbers: for the terminal, for programs, for the card."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from math import sqrt

from ...checkpoints.space import human
from ...dtypes import DTYPES
from ...planning.layout import nbytes_of
from .cautions import warnings_of
from .choosing import Chosen
from .document import ExtractDocument, ExtractedModule
from .extracted import Extracted, Layer
from .kinds import factor_shapes, matrix_shape
from .making import factor_bytes
from .request import Extraction

WORST = 10  # layers that are listed by name


def as_document(extracted: Extracted, out: str, identity: str, notes: Sequence[str], seconds: float) -> ExtractDocument:
    """Return what ``--json`` prints."""
    whole = extracted.whole.tensors
    return {
        "out": out,
        "tuned": extracted.extraction.tuned,
        "base": extracted.extraction.base,
        "output_id": identity,
        "input_ids": list(extracted.measured.input_ids),
        "options": extracted.extraction.options(),
        "device": extracted.measured.device,
        "modules": [_module(layer) for layer in extracted.layers],
        "whole": [{"tensor": name, "dtype": one.dtype, "shape": list(one.shape)} for name, one in whole.items()],
        "left": [{"tensor": name, "reason": reason, "norm": norm} for name, (reason, norm) in extracted.left.items()],
        "energy": extracted.energy,
        "bytes": adapter_bytes(extracted),
        "notes": list(notes),
        "warnings": warnings_of(extracted),
        "seconds": round(seconds, 3),
    }


def _module(layer: Layer) -> ExtractedModule:
    module, kept = layer.module, layer.kept
    return {
        "module": module.name,
        "tensor": module.tensor,
        "kind": module.kind,
        "shape": list(module.shape),
        "rank": kept.rank,
        "energy": kept.energy,
        "norm": kept.norm,
        "relative_error": kept.error / kept.norm,
    }


def adapter_bytes(extracted: Extracted) -> int:
    """Return the size of the adapter's tensors."""
    factors = sum(factor_bytes(layer.kept) for layer in extracted.layers)
    return factors + sum(tensor.nbytes for tensor in extracted.whole.tensors.values())


def planned(extraction: Extraction, chosen: Chosen, input_ids: Sequence[str] = ()) -> ExtractDocument:
    """Return what ``--dry-run --json`` prints: every layer at the highest rank it may get."""
    modules: list[ExtractedModule] = []
    nbytes = sum(tensor.nbytes for tensor in chosen.whole.values())
    for module in chosen.modules.values():
        rank = extraction.truncation.most(matrix_shape(module.kind, module.shape))
        nbytes += sum(nbytes_of(extraction.dtype, shape) for shape in factor_shapes(module.kind, module.shape, rank))
        modules.append(
            {
                "module": module.name,
                "tensor": module.tensor,
                "kind": module.kind,
                "shape": list(module.shape),
                "rank": rank,
                "energy": None,
                "norm": None,
                "relative_error": None,
            }
        )
    reasons = {**chosen.open, **chosen.left}
    return {
        "out": str(extraction.out) if extraction.out is not None else None,
        "tuned": extraction.tuned,
        "base": extraction.base,
        "output_id": None,
        "input_ids": list(input_ids),
        "options": extraction.options(),
        "device": None,
        "modules": modules,
        "whole": [{"tensor": name, "dtype": one.dtype, "shape": list(one.shape)} for name, one in chosen.whole.items()],
        "left": [{"tensor": name, "reason": reason, "norm": None} for name, reason in reasons.items()],
        "energy": None,
        "bytes": nbytes,
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
