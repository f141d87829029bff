"""The diffusion models of a recipe under the names of the first: one family, whatever layouts they are saved in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..checkpoints.checkpoint import Source
from ..planning.bound import Bound, leaves
from ..planning.layout import is_single_file
from ..planning.opening import Opener
from ..planning.rows import Skip
from ..recipe import Recipe
from .buffers import AVERAGES, is_average
from .known import is_diffusion, is_folder

_MERGED_AVERAGES = (
    f"all models have moving averages (EMA, {AVERAGES}*) beside the UNet's weights: both are merged; "
    "programs use the weights unless told otherwise"
)


class Prepared(NamedTuple):
    """What was prepared.

    Attributes:
        replaced: By the position of a source, that of the one that takes its place.
        kept: Tensors that are the first model's own because no one uses them and another model lacks them.
        skips: Tensors of the models that are left out.
        notes: What was matched.
    """

    replaced: Mapping[int, int] = {}
    kept: frozenset[str] = frozenset()
    skips: Sequence[Skip] = ()
    notes: Sequence[str] = ()


def prepare(recipe: Recipe, bound: Bound, opener: Opener) -> Prepared:
    """Return the models of a recipe under the names of the first; sources made for it are appended to the opened ones.

    Where the first is a folder of components and the output a single file, the names are ldm's. Without diffusion
    models, and where all have the same names and shapes, there is nothing to prepare, and this costs nothing.

    Raises:
        MergeError: The models are of several families, or cannot be put under the same names.
    """
    positions = list(dict.fromkeys(leaves(bound)))
    sources = [opener.sources[position] for position in positions]
    if not any(is_diffusion(source.tensors) for source in sources):
        return Prepared()
    path = recipe.output.path
    into_one = path is not None and is_single_file(path) and is_folder(sources[0].tensors)
    if not into_one and _are_alike(sources):
        has_averages = len(sources) > 1 and any(map(is_average, sources[0].tensors))
        return Prepared(notes=[_MERGED_AVERAGES] if has_averages else [])
    from .preparation import Preparation

    return Preparation(opener, positions, recipe, into_one=into_one).prepared()


def _are_alike(sources: Sequence[Source]) -> bool:
    """Tell whether all models have the same names and shapes, as most have."""
    first = sources[0].tensors
    for source in sources[1:]:
        tensors = source.tensors
        if tensors.keys() != first.keys() or any(tensors[name].shape != known.shape for name, known in first.items()):
            return False
    return True
