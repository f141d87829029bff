"""The models that an average is brought back to, checked by their headers before any is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..checkpoints.resolve import local_path, open_checkpoint
from ..checkpoints.target import check_target
from ..dtypes import DTYPES
from ..errors import MergeError, UsageError
from ..evaluation.locate import CheckpointLocation
from ..planning.layout import is_single_file

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import FileCheckpoint, Source
    from ..checkpoints.header import TensorInfo
    from ..evaluation.locate import Location
    from ..plan import Plan


def check_toward(plan: Plan, locations: Sequence[Location]) -> None:
    """Refuse models that differ from the average, and an output that would replace one of them.

    Models that are no files here, recipes for one, are checked when they are loaded.

    Args:
        plan: The copy of the average, with its output.
        locations: The models.

    Raises:
        UsageError: The output is one of them.
        MergeError: One lacks a matrix or filter of the average, or has it in another shape.
    """
    average, output = plan.sources[plan.reference], plan.recipe.output.path
    for location in locations:
        if isinstance(location, CheckpointLocation):
            opened = open_checkpoint(location.path)
            try:
                _check_shapes(average, opened, location.name)
            finally:
                opened.close()
            if output is not None:
                _check_kept(opened, str(output), plan)


def _check_shapes(average: Source, opened: FileCheckpoint, name: str) -> None:
    for wanted in _matrices(average.tensors.values()):
        found = opened.tensors.get(wanted.name)
        if found is None or found.shape != wanted.shape:
            raise unlike(wanted.name, wanted.shape, average.location, found and found.shape, name)


def _matrices(tensors: Iterable[TensorInfo]) -> Iterator[TensorInfo]:
    return (info for info in tensors if len(info.shape) > 1 and DTYPES[info.dtype].kind == "float")


def _check_kept(opened: FileCheckpoint, output: str, plan: Plan) -> None:
    out = local_path(output, plan.recipe.folder)
    check_target(out, opened.files, is_folder=not is_single_file(out), force=True)


def unlike(tensor: str, wanted: Sequence[int], average: str, found: Sequence[int] | None, where: str) -> MergeError:
    """Return the error of a model that has a tensor of the average in another shape, or lacks it."""
    shape = "absent" if found is None else list(found)
    what = f"'{tensor}' is {shape}, and {list(wanted)} in {average}"
    return MergeError(what, where=where, hint="give the models that were averaged")


def read_shares(text: str | None, count: int) -> tuple[float, ...]:
    """Read the shares that models had in their average, scaled to sum to 1.

    Args:
        text: Numbers with commas between them; None: equal ones.
        count: Of the models.

    Raises:
        UsageError: They are none, or not one for each model.
    """
    if text is None:
        return (1 / count,) * count
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"'{text}' is no list of numbers", where="--weights", hint="as in 0.7,0.3") from None
    if len(numbers) != count:
        what = f"{len(numbers)} weights for {count} models of --toward"
        raise UsageError(what, where="--weights", hint="one for each, in their order")
    if not min(numbers) >= 0 or not 0 < sum(numbers) < float("inf"):
        raise UsageError("weights are 0 or more, and not all 0", where="--weights")
    return tuple(number / sum(numbers) for number in numbers)
