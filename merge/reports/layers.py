"""How far the models moved layer by layer, in which directions, and how often against each other.

One more pass over the inputs (and the output, where there is no base), in float64 sums over pieces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..checkpoints.checkpoint import Source
from ..checkpoints.derived import whole
from ..checkpoints.header import TensorInfo
from ..checkpoints.resolve import open_checkpoint
from ..dtypes import DTYPES
from ..inspection import pieces
from ..planning.blocks import layer_of
from .rows import is_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..plan import Plan
    from ..planning.rows import Row
    from .mapping import LayerRow

NORM = re.compile(r"norm|ln_")
ELEMENTS = 2**22  # of all models together at a time: 32 MB in float64
Tensors = list[tuple[Source, TensorInfo]]  # of the models, then of what they are measured from


@dataclass
class _Sums:
    """Sums over the entries of one layer: products of every two models [models, models], and counts."""

    products: Any
    tensors: int = 0
    parameters: int = 0
    conflicts: int = 0
    moved: int = 0


def measure_layers(plan: Plan, out: str, advance: Callable[[int, int], None]) -> dict[str, Any]:
    """Measure the merged tensors of every input by layer.

    Args:
        plan: A plan that has been run and is still open.
        out: Its output, read where the plan has no base.
        advance: Called with every number of bytes read and tensors finished.

    Returns:
        Two parts of a report: ``layers`` from first to last, and ``layers_measured_from``, which is ``the base`` or
        ``the output``; nothing where nothing was merged.

    Raises:
        MergeError: When an input or the output cannot be read.
    """
    merged = [row for row in plan.rows if row.action == "merge"]
    roles = list(_read_as(plan, merged))
    models = [number for number, role in roles if is_model(role)]
    bases = [number for number, role in roles if role == "base"]
    if not merged or not models:
        return {}
    measured_from_base = len(bases) == 1 and all(row.tensors[bases[0]] for row in merged)
    output = None if measured_from_base else open_checkpoint(out)
    try:
        tensors = _tensors(plan, models, bases[0] if output is None else output)
        sums = _add_up(tensors, len(models), advance)
    finally:
        if output is not None:
            output.close()
    names = [whole(plan.sources[number]).location for number in models]
    rows: list[LayerRow] = [_row(layer, found, names, judged=output is None) for layer, found in _in_order(sums)]
    return {"layers": rows, "layers_measured_from": "the base" if measured_from_base else "the output"}


def _read_as(plan: Plan, merged: Sequence[Row]) -> Iterator[tuple[int, str]]:
    """Yield sources with their roles; in the place of a model that is merged in another form, that form."""
    forms = {
        role.removeprefix("of "): number
        for number, role in enumerate(plan.roles)
        if role.startswith("of ") and all(row.tensors[number] for row in merged)
    }
    for number, role in enumerate(plan.roles):
        yield forms.get(role, number), role


def _tensors(plan: Plan, models: Sequence[int], origin: int | Source) -> Iterator[tuple[str, Tensors]]:
    """Yield name and tensors of every merged row that all the models have as floating numbers of one shape."""
    for row in plan.rows:
        if row.action != "merge":
            continue
        if isinstance(origin, int):
            found = [(plan.sources[number], row.tensors[number]) for number in (*models, origin)]
        else:
            found = [(plan.sources[number], row.tensors[number]) for number in models]
            found.append((origin, origin.tensors.get(row.name)))
        present = [(source, tensor) for source, tensor in found if tensor is not None]
        alike = {tensor.shape for _, tensor in present} == {row.shape}
        if len(present) == len(found) and alike and all(DTYPES[tensor.dtype].kind == "float" for _, tensor in present):
            yield row.name, present


def _add_up(
    tensors: Iterator[tuple[str, Tensors]], models: int, advance: Callable[[int, int], None]
) -> Mapping[tuple[int, str], _Sums]:
    import numpy as np

    sums: dict[tuple[int, str], _Sums] = {}
    for name, inputs in tensors:
        found = sums.setdefault(layer_of(name), _Sums(np.zeros((models, models))))
        found.tensors += 1
        found.parameters += inputs[0][1].elements
        for arrays in pieces(inputs, max(1, ELEMENTS // len(inputs))):
            _add_piece(found, arrays)
        advance(sum(tensor.nbytes for _, tensor in inputs), 1)
    return sums


def _add_piece(sums: _Sums, arrays: list[Any]) -> None:
    import numpy as np

    *models, origin = arrays
    for model in models:
        model -= origin
    differences = np.stack(models)
    sums.products += differences @ differences.T
    up, down = (differences > 0).sum(axis=0), (differences < 0).sum(axis=0)
    sums.conflicts += int(np.count_nonzero((up > 0) & (down > 0)))
    sums.moved += int(np.count_nonzero(up + down > 1))


def _in_order(sums: Mapping[tuple[int, str], _Sums]) -> list[tuple[str, _Sums]]:
    """Return layers as a model runs through them, numbers in names by their value."""

    def key(place: tuple[int, str]) -> tuple[int, list[tuple[int, str]]]:
        parts = re.split(r"(\d+)", place[1])
        late = place[0] == 2 and not NORM.search(place[1])  # heads come after the norm in front of them
        return place[0] + late, [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return [(place[1], sums[place]) for place in sorted(sums, key=key)]


def _row(layer: str, sums: _Sums, names: Sequence[str], *, judged: bool) -> LayerRow:
    """Return a layer; conflicts are judged against a base only, since around an average they are the rule."""
    norms = [math.sqrt(value) for value in sums.products.diagonal()]
    return {
        "layer": layer,
        "tensors": sums.tensors,
        "parameters": sums.parameters,
        "norms": {name: _finite(norm) for name, norm in zip(names, norms, strict=True)},
        "cosines": [
            {"a": names[one], "b": names[two], "value": _cosine(float(sums.products[one, two]), norms[one], norms[two])}
            for one in range(len(names))
            for two in range(one + 1, len(names))
        ],
        "conflict": sums.conflicts / sums.moved if judged and sums.moved else None,
    }


def _cosine(product: float, one: float, two: float) -> float | None:
    scale = one * two
    return max(-1.0, min(1.0, product / scale)) if scale and math.isfinite(product / scale) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
