"""The wide network of two models: what is computed of them, and what goes along with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from ..checkpoints.checkpoint import Source
from ..errors import UsageError
from ..recipe import Recipe
from .bound import BoundCall
from .layout import is_single_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..checkpoints.widened import WideSource
    from ..partial.joint_file import Joint
    from ..partial.widths import Layout, Shape

Shapes = dict[str, "Shape"]


class Pair(NamedTuple):
    """The two models, and the shapes of what is computed of them."""

    first: Source
    second: Source
    shapes: tuple[Shapes, Shapes]


def wide_source(recipe: Recipe, bound: BoundCall, file: Source, pair: Pair, members: tuple[int, int]) -> WideSource:
    """Return the wide network that a call stands for.

    Args:
        recipe: The recipe.
        bound: The call; its options say how the models are merged.
        file: What is known of both models together.
        pair: The models.
        members: Their positions among the sources.

    Raises:
        UsageError: The options do not go with the models.
        MergeError: The models do not fit together, or not what is known of them.
    """
    from ..alignment.validation import check
    from ..partial.joint_file import check_reads, read_joint

    joint = read_joint(file)
    check(joint.groups, pair.shapes[0])
    check_reads(joint, pair.shapes[0], file.location)
    options: Any = bound.method.options(**bound.options)
    layout = _layout(joint, pair, options)
    return _assembled(recipe, pair, joint, layout, options, file, members)


def _layout(joint: Joint, pair: Pair, options: Any) -> Layout:
    """Return where the units of both come to lie."""
    from ..partial.allocation import split_units
    from ..partial.heads import choose_heads
    from ..partial.widths import Layout

    if options.budget > 0 and not joint.widens:
        what = "no group of units of these models can be widened, so that every budget merges all units"
        raise UsageError(what, where=pair.first.location, hint="--budget 0 says so; merge rebasin does the same")
    heads = choose_heads(joint, *pair.shapes, options.heads, pair.second.location)
    splits = split_units(joint, *pair.shapes, options.budget, options.allocation, heads)
    return Layout(joint.groups, joint.orders, splits, heads)


def _assembled(
    recipe: Recipe, pair: Pair, joint: Joint, layout: Layout, options: Any, file: Source, members: tuple[int, int]
) -> WideSource:
    import math

    import xxhash

    from ..checkpoints.widened import WideSource
    from ..partial.wide_files import beside_wide
    from ..partial.wide_notes import notes_of, outputs_of, treatments_of
    from ..partial.widening import Widening
    from ..partial.widths import wide_shapes

    shapes = wide_shapes(*pair.shapes, layout)
    ridge = math.inf if options.ridge == "infinite" else options.ridge
    widening, outputs = Widening(joint, layout, ridge), outputs_of(pair.shapes, layout)
    sizes = {name: split.size for name, split in layout.splits.items()}
    told = json.dumps({"by": recipe.merge.method, "outputs": outputs, "groups": sizes}, sort_keys=True)
    one_file = recipe.output.path is None or is_single_file(recipe.output.path)
    return WideSource(
        pair.first,
        shapes,
        lambda name: widening.tensor(name, *_read_alike(pair, name)),
        dtype=recipe.output.dtype,
        told=told,
        digest=xxhash.xxh3_64_intdigest(f"{told}\0{options}\0{file.identities}".encode()),
        location=f"{pair.first.location} (widened)",
        notes=notes_of(pair.shapes, shapes, joint, layout, options, widening),
        beside=beside_wide(pair.first, pair.second, joint, layout, outputs, is_single_file=one_file),
        members=dict(zip(members, joint.facts.about["models"], strict=True)),
        file=file.location,
        treatments=treatments_of(pair.shapes, shapes, joint, widening),
    )


def _read_alike(pair: Pair, name: str) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Return both models' tensors in one type: float64 where one is stored so, else float32.

    Raises:
        MergeError: One cannot be read, or holds NaN or infinities.
    """
    import numpy as np

    from ..alignment.matching import CheckpointReader

    both = [CheckpointReader(source, cache_bytes=0).read(name) for source in (pair.first, pair.second)]
    kind = np.result_type(*both)
    first, second = (array.astype(kind, copy=False) for array in both)
    return first, second
