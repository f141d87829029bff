"""What can be said of a recipe with data before any model runs: what is wrong with it, and what would be computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ..checkpoints.space import human
from ..errors import UsageError
from ..method import Method
from ..planning.pending import is_pending, is_unaligned
from ..planning.tensor_rules import is_buffer
from ..recipe import Alignment, Merge, Model, Recipe, named
from ..registry import find_method
from .options import calibration_options
from .places import all_models, located, location_of, statistics_folder

if TYPE_CHECKING:
    from ..checkpoints.checkpoint import Source

MUCH_MEMORY = 10**9  # bytes of joint statistics that a dry run tells of


def check_before(recipe: Recipe) -> None:
    """Refuse what needs no running model to be seen.

    Raises:
        UsageError: A description of data is wrong or not there, or a merge block by block cannot be one.
    """
    from ..calibration.data import read_data

    for model in all_models(recipe.merge):
        data = model.model.data if isinstance(model.model, Alignment) else model.data
        if data:
            read_data(located(data, recipe.folder))
        if isinstance(model.model, Alignment) and model.model.groups and is_unaligned(model):
            _check_groups(model.model, model.model.groups, recipe)
    for merge in (recipe.merge, *(model.model for model in all_models(recipe.merge) if isinstance(model.model, Merge))):
        method = find_method(merge.method)
        if method.sequential:
            check_sequential(merge, method)
        if method.learns_together and is_pending(merge):
            from .scaling import check_scaling

            check_scaling(merge, recipe.folder, is_nested=merge is not recipe.merge)


def _check_groups(alignment: Alignment, groups: str, recipe: Recipe) -> None:
    """Refuse a file of groups that is none, or does not fit the tensors of the model that stays as it is."""
    from ..alignment.groups_file import read_groups
    from ..checkpoints.resolve import open_checkpoint

    if isinstance(alignment.to.model, Merge):
        return  # its tensors are known once it is made
    with closing(open_checkpoint(location_of(alignment.to, recipe.folder))) as source:
        shapes = {name: tensor.shape for name, tensor in source.tensors.items()}
    read_groups(Path(located(groups, recipe.folder)), shapes, groups)


def check_sequential(merge: Merge, method: Method) -> None:
    """Refuse a merge that goes through whole blocks and differs within them, or lacks the base's final norm.

    Raises:
        UsageError: Saying which.
    """
    if merge.layers:
        what = f"{method.name} goes through whole blocks, so it takes no layer rules"
        hint = f"vary a merge by {method.merged_by} with its files"
        raise UsageError(what, where=merge.layers[0].where, hint=hint)
    if merge.base is None and calibration_options(merge).final_norm == "pretrained":
        hint = "give --base (base: in a recipe), or --final-norm mean"
        raise UsageError("the final norm is to be the base's, and there is no base", where=merge.where, hint=hint)


def announced(recipe: Recipe, sources: Sequence[Source]) -> list[str]:
    """Return what would be computed from which data into which file, a line each, in that order.

    Args:
        recipe: The recipe.
        sources: The models of its plan, whose headers tell how much memory it takes to run two of them together.
    """
    found = list(_announced(recipe.merge, "", recipe))
    if find_method(recipe.merge.method).widens:
        found += _memory_lines(recipe.merge, sources)
    return found


def _memory_lines(merge: Merge, sources: Sequence[Source]) -> Iterator[str]:
    """Yield how much memory the joint statistics of two models take, where that is much."""
    from ..partial.joint_grams import largest_bytes

    first, second = (
        {name: info.shape for name, info in one.tensors.items() if not is_buffer(info)} for one in sources[:2]
    )
    convolutions = calibration_options(merge).convolutions
    nbytes, without = (largest_bytes(first, second, convolutions=given) for given in (convolutions, False))
    if nbytes >= MUCH_MEMORY:
        saved = f"; --no-convolutions: up to {human(without)}" if without < nbytes else ""
        yield f"which takes up to {human(nbytes)} of memory, 8 bytes for each pair of inputs of a matrix{saved}"


def _announced(merge: Merge, label: str, recipe: Recipe) -> Iterator[str]:
    kind, folder = find_method(merge.method).statistics, statistics_folder(recipe)
    if find_method(merge.method).widens:
        yield _joint_line(merge, recipe)
        return
    for number, model in merge.parts.items():
        if isinstance(model.model, Merge) and is_pending(model.model):
            yield from _announced(model.model, f"{label}{number}-", recipe)
        if is_unaligned(model):
            yield order_line(model, f"{folder}/permutations-{label}{number}.safetensors")
        if model is not merge.base and kind and kind not in model.statistics:
            yield _line(kind, model, f"{folder}/{kind}-{label}{number}.safetensors")


def _joint_line(merge: Merge, recipe: Recipe) -> str:
    from .joint import data_of, joint_file

    both = " and ".join(named(model, "") for model in merge.models)
    source = f"from {data_of(merge, recipe)}" if data_of(merge, recipe) else "on stand-ins"
    return f"to be computed: what {both} do together, {source}, into {joint_file(recipe)}; then the widths"


def order_line(model: Model, out: str) -> str:
    """Return what would be found of an aligned model, and where it would go."""
    return _line("order of units", model, out)


def _line(what: str, model: Model, out: str) -> str:
    inner = model.model
    if isinstance(inner, Alignment):
        data, name = inner.data, str(inner.model.model)
    else:
        data, name = model.data, "the nested merge" if isinstance(inner, Merge) else named(model, "")
    return f"to be computed: {what} of {name}" + (f" from {data}" if data else "") + f" into {out}"
