"""A recipe with open options ▸ what a search needs to know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..content_id import checkpoint_id, tensor_digests
from ..errors import MergeError, UsageError
from ..evaluation.memory import free_memory
from ..grammar import parse_recipe
from ..plan import Plan, make_plan
from ..recipe import Alignment, Merge, Model, Recipe, named
from ..text_file import read_text
from .space import Space, Values, settings_of, space_of

PLACES = (0.618, 1.0, 0.0)  # within the bounds, for a first plan; the middle would be special too often


class OpenRecipe:
    """A recipe file in which options are marked for search.

    Args:
        path: The file, read once: the search does not see changes to it.
        settings: Overrides such as ``options.density=0.2``.

    Attributes:
        recipe: As read, its open options still open.
        space: The open options.

    Raises:
        UsageError: The recipe is wrong, or nothing in it can be searched.
    """

    def __init__(self, path: Path, settings: Sequence[str] = ()) -> None:
        self.path, self.settings = path, tuple(settings)
        self.text = read_text(path, str(path))
        self.recipe = parse_recipe(self.text, str(path), path.parent, self.settings)
        self.space: Space = space_of(self.recipe.merge)

    def fill(self, values: Values) -> Recipe:
        """Return the recipe with these numbers in it."""
        return parse_recipe(self.text, str(self.path), self.path.parent, (*self.settings, *settings_of(values)))

    def example(self) -> Recipe:
        """Return the recipe with some numbers that can be planned with.

        Raises:
            UsageError: The recipe is wrong, or its method refuses all the numbers that were tried.
        """
        refusals = []
        for position in PLACES:
            recipe = self.fill(self.space.at([position] * len(self.space)))
            try:
                plan = make_plan(recipe)
                plan.close()
                plan.refuse_pending()
                return recipe
            except UsageError as error:  # weights that cancel, for one, do so at some places only
                refusals.append(error)
        raise refusals[0]

    def check(self, processes: int) -> dict[str, str]:
        """Plan the recipe with some numbers in it, and return the content id of every model by its location.

        Every model is read once for that.

        Raises:
            UsageError: The recipe is wrong.
            MergeError: The models do not fit together, or the outcome does not fit into memory.
        """
        plan = make_plan(self.example())
        try:
            _check_memory(plan, processes)
            return _identities(plan)
        finally:
            plan.close()


def _check_memory(plan: Plan, processes: int) -> None:
    free, needed = free_memory(), plan.bytes_written * processes
    if free is not None and needed > free:
        what = f"{processes} merged models need {needed / 1e9:.1f} GB of memory, {free / 1e9:.1f} are free"
        raise MergeError(what, hint="give fewer --processes" if processes > 1 else None)


def _identities(plan: Plan) -> dict[str, str]:
    sources = [
        checkpoint_id(source.tensors.values(), tensor_digests(source.tensors.values(), source.read_into))
        for source in plan.sources
    ]
    found: dict[str, str] = {}
    for model in _leaves(plan.recipe.merge):
        found |= {named(model, kind): sources[plan.position_of(model, kind)] for kind in ("", *model.statistics)}
        if isinstance(model.model, Alignment):
            found[named(model, "permutations")] = sources[plan.position_of(model, "permutations")]
            found |= {named(one, ""): sources[plan.position_of(one)] for one in (model.model.model, model.model.to)}
    return found


def _leaves(merge: Merge) -> Iterator[Model]:
    for model in (*merge.models, *([merge.base] if merge.base is not None else [])):
        if isinstance(model.model, Merge):
            yield from _leaves(model.model)
        else:
            yield model
