"""What files say they are: a model, or statistics of a kind and of a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..calibration.facts import Facts
from ..checkpoints.checkpoint import OUR_KEY, FileCheckpoint, Source
from ..errors import UsageError
from .bound import Bound, BoundCall
from .learned import Learned

ALL_KINDS = ("fisher", "gram", "coefficients", "joint", "permutations", "batch-norm", "repair")


def refuse_statistics(source: Source, where: str | None) -> None:
    """Refuse a file of statistics in the place of a model.

    Raises:
        UsageError: It says that it is one.
    """
    kind = source.metadata.get("kind")
    if kind in ALL_KINDS:
        place = f"{where}: {source.location}" if where else source.location
        what = (
            f"this is a file of {kind} statistics, not a model"
            if kind != "permutations"
            else "this is an order of units"
        )
        raise UsageError(what, where=place, hint="give the model's checkpoint here")


def check_kind(source: Source, facts: Facts, kind: str, *, is_model: bool) -> None:
    """Refuse statistics of another kind, and a checkpoint in their place.

    Args:
        source: The file.
        facts: What it says of itself.
        kind: What is wanted: ``fisher``, ``gram`` or ``coefficients``.
        is_model: Whether the same file was given as a model.

    Raises:
        UsageError: Naming the file.
    """
    if facts.kind and facts.kind != kind:
        raise UsageError(f"holds {facts.kind} statistics, not {kind}", where=source.location)
    squares = (len(info.shape) == 2 and info.shape[0] == info.shape[1] for info in source.tensors.values())
    looks = is_model or OUR_KEY in source.metadata or (kind == "gram" and not all(squares))
    if looks and not facts.kind:
        hint = (
            "give data, from which they are learned"
            if kind in ("coefficients", "joint")
            else f"compute one with: merge calibrate {kind}"
        )
        raise UsageError("this looks like a checkpoint, not a statistics file", where=source.location, hint=hint)


def unstated(learned: Learned, bound: Bound, opened: list[Source], own: Path) -> Iterator[str]:
    """Yield warnings about statistics of which nothing tells whether they are their model's.

    Args:
        learned: The statistics files.
        bound: The merge.
        opened: All sources.
        own: The folder of what was computed for this very merge, which needs no statement.
    """
    if not isinstance(bound, BoundCall):
        return
    for number, child in zip(bound.statistics, bound.inputs, strict=False):
        source = opened[number]
        if not isinstance(source, FileCheckpoint) or (source.files and source.files[0].parent == own):
            continue
        if not learned.facts[number].model:
            yield f"{source.location} does not say which model it was computed from"
        elif not isinstance(child, int):
            yield f"whether {source.location} was computed from the nested merge cannot be checked"
    for child in bound.inputs:
        yield from unstated(learned, child, opened, own)
