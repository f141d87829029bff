"""Why an output cannot keep the scales of its models: one layout is for all of it, and something must state it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..checkpoints.header import TensorInfo
from ..checkpoints.scaled import ScaledCheckpoint
from ..checkpoints.scaled_layout import Scaled, shows_its_block
from ..recipe import Output
from .layout import is_single_file
from .reference import Reference
from .rows import Row

Below = Sequence[ScaledCheckpoint | None]  # of every source, the checkpoint with scales that it is made from


def why_without(rows: Sequence[Row], reference: Reference, below: Below, output: Output) -> str | None:
    """Return why an output has to be without scales; None where it can have them.

    Args:
        rows: The ledger's.
        reference: What decides about the output's types.
        below: The checkpoints with scales.
        output: Where it is written.
    """
    if len(_schemes(rows, reference, below)) > 1:
        return "the models store their weights in different ways"
    if output.path is None or not is_single_file(output.path):
        return None
    blocks = (
        scaled.block for row in rows if (scaled := scaled_of(row, reference, below)) and not shows_its_block(scaled)
    )
    block = next(blocks, None)
    return block and f"a single file cannot say that its blocks are of {block[0]} x {block[1]}, as config.json does"


def _schemes(rows: Sequence[Row], reference: Reference, below: Below) -> set[str]:
    """Return what config.json files state of the weights that go into an output, which has one config.json.

    Where models are assembled, some may be of plain weights, which the others' statement does not fit. Elsewhere only
    tensors that the reference lacks are stored as another model has them.
    """
    if reference.is_assembled:
        places = [place for row in rows if len(row.shape) > 1 and (place := origin(row, reference))]
        return {checkpoint.scheme if (checkpoint := below[source]) else "" for source, _ in places}
    found = [place for row in rows if (place := origin(row, reference))]
    stored = ((below[source], tensor) for source, tensor in found)
    return {checkpoint.scheme for checkpoint, tensor in stored if checkpoint and tensor.name in checkpoint.scaled}


def scaled_of(row: Row, reference: Reference, below: Below) -> Scaled | None:
    """Return the stored form of the tensor that decides about a row's type."""
    place = origin(row, reference)
    checkpoint = below[place[0]] if place is not None else None
    if place is None or checkpoint is None:
        return None
    scaled, info = checkpoint.scaled.get(place[1].name), place[1]
    fits = scaled is not None and scaled.weight.shape == row.shape and info.dtype == row.dtype
    return scaled if fits else None


def origin(row: Row, reference: Reference) -> tuple[int, TensorInfo] | None:
    """Return the source and the tensor that decide about a row's type; of one that the reference lacks, the first."""
    if row.action == "check":
        return None
    if row.name in reference.tensors:
        return reference.origin(row.name), reference.tensors[row.name]
    return next(inputs_of(row), None)


def inputs_of(row: Row) -> Iterator[tuple[int, TensorInfo]]:
    """Yield the sources that a row is read from, and the tensor of each."""
    return ((source, info) for source, info in enumerate(row.tensors) if info)
