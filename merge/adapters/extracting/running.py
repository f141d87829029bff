"""Runs the difference: factors of the layers into a spool, and for all other tensors how far they differ."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

from ...checkpoints.files import Buffer
from ...dtypes import numpy_dtype
from ...engine import Outcome, RunSettings
from ...planning.rows import Row
from ..low_rank.collecting import FactorCollector, Kept
from ..low_rank.device import factorising_device
from ..low_rank.sink import WholeSink, run_into
from ..low_rank.spool import Spool
from .choosing import Chosen
from .difference import Difference
from .kinds import as_matrix, matrix_shape
from .module import Module
from .request import Extraction

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Measured:
    """What the two models' weights say.

    Attributes:
        kept: What was kept of every layer that differs, by its key in `Chosen.modules`.
        norms: Root of the sum of squared differences of every other tensor that differs; None where the two cannot be
            subtracted.
        input_ids: Content ids of base and tuned model.
        device: Where the matrices were factorised.
    """

    kept: Mapping[str, Kept]
    norms: Mapping[str, float | None]
    input_ids: tuple[str, str]
    device: str


def measure(
    difference: Difference, chosen: Chosen, extraction: Extraction, spool: Spool, settings: RunSettings
) -> Measured:
    """Read both models once.

    Raises:
        MergeError: A tensor cannot be read or is not finite.
        UsageError: There is no such device.
    """
    sides = (min(matrix_shape(module.kind, module.shape)) for module in chosen.modules.values())
    device = factorising_device(settings.device, sides)
    layers: dict[str, list[tuple[str, Module]]] = {}
    for key, module in chosen.modules.items():
        layers.setdefault(module.tensor, []).append((key, module))

    def matrices(row: Row, outcome: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
        for key, module in layers[row.name]:
            part = outcome if module.rows is None else outcome[slice(*module.rows)]
            yield key, as_matrix(module.kind, part.reshape(module.shape))

    collector = FactorCollector(spool, extraction.truncation, matrices, dtype=extraction.dtype, device=device)
    sink = _Measuring(difference, layers.keys(), collector)
    outcome = run_into(difference.plan, sink, RunSettings("cpu", settings.threads, advance=settings.advance))
    for source in difference.plan.sources:
        source.check_unchanged()
    ids = outcome.input_ids
    kept = {key: collector.kept[key] for key in chosen.modules if key in collector.kept}
    return Measured(
        kept,
        sink.norms() | _unlike(difference, chosen, outcome),
        (ids[difference.base_position], ids[difference.tuned_position]),
        device,
    )


class _Measuring(WholeSink):
    """Collects the layers that get factors; of other tensors only sums squares."""

    def __init__(self, difference: Difference, weights: Collection[str], collector: FactorCollector) -> None:
        super().__init__(difference.plan.rows, lambda row: row.name in weights, collector.take)
        self._squares: defaultdict[str, float] = defaultdict(float)
        self._adding = threading.Lock()

    def pass_by(self, row: Row, part: Buffer) -> None:
        """Add up what differs."""
        if row.action == "merge":
            import numpy as np

            values = np.frombuffer(part, numpy_dtype(row.dtype)).astype(np.float64)
            with self._adding:
                self._squares[row.name] += float(values @ values)

    def norms(self) -> dict[str, float | None]:
        """Return the norms that are not 0."""
        return {name: sqrt(total) for name, total in self._squares.items() if total}


def _unlike(difference: Difference, chosen: Chosen, outcome: Outcome) -> dict[str, float | None]:
    """Return the tensors that cannot be subtracted and differ: buffers, statistics, those of another shape."""
    found: dict[str, float | None] = dict.fromkeys(chosen.alone)
    for row in difference.plan.rows:
        base, tuned = difference.of_base(row), difference.of_tuned(row)
        if row.action in {"merge", "check"} or base is None or tuned is None:
            continue
        one = outcome.digests.of(difference.base_position, base.name)
        if one != outcome.digests.of(difference.tuned_position, tuned.name):
            found[row.name] = None
    return found
