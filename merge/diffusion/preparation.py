"""Puts every diffusion model of a recipe under the same names, and says what was left out for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..checkpoints.checkpoint import Source
from ..checkpoints.header import TensorInfo
from ..checkpoints.part import PartSource
from ..planning.opening import Opener
from ..planning.rows import Skip
from ..recipe import Recipe
from .arranging import Prepared
from .buffers import AVERAGES, is_average
from .families import Family, family_among
from .fitting import Fitted, Layout, fit
from .mixing import refuse_mixed, refuse_parts
from .renamed import renamed
from .single_file import can_be_single, ldm_tensors
from .unused import unused

_AVERAGED = "the moving averages (EMA) of the UNet beside its weights"
_UNUSED = "nothing looks at it, and the output's model lacks it"
_INTO_ONE = "the output is a single file, with the names of ldm; it holds no scheduler, so note its prediction type"


class Preparation:
    """Fits every model to the first, or all to a single file.

    Args:
        opener: Has the sources.
        positions: The models, the one that decides names first.
        recipe: The recipe.
        into_one: Whether the output is a single file where the first model is a folder of components.

    Raises:
        MergeError: The models are of several families.
    """

    def __init__(self, opener: Opener, positions: Sequence[int], recipe: Recipe, *, into_one: bool) -> None:
        self._opener, self._positions, self._recipe = opener, positions, recipe
        self._replaced: dict[int, int] = {}
        self._kept: set[str] = set()
        self._skips: list[Skip] = []
        self._notes: list[str] = []
        self._layouts = [Layout(tensors) for tensors in self._without_averages()]
        families = [family_among(layout.places, layout.tensors) for layout in self._layouts]
        refuse_mixed(recipe, [opener.sources[position] for position in positions], families)
        self._family: Family | None = families[0]
        self._into_one = into_one and self._family is not None and can_be_single(self._family.name)
        self._unused = unused(self._family.name if self._family else "")

    def prepared(self) -> Prepared:
        """Return what is made of the models.

        Raises:
            MergeError: They cannot be put under the same names.
        """
        first, *others = self._layouts
        if self._into_one and self._family is not None:
            self._notes.append(f"{self._location(0)}: {_INTO_ONE}")
            first = self._fit_into_one(first, Layout(ldm_tensors(first.places, self._family.name)))
        else:
            self._replace_thinned(first)
        for number, model in enumerate(others, start=1):
            self._check_parts(model, number)
            self._fit(first, model, self._positions[number])
        self._note_kept()
        return Prepared(self._replaced, frozenset(self._kept), self._skips, self._notes)

    def _check_parts(self, model: Layout, number: int) -> None:
        """Refuse whole components that one lacks, where nothing says what becomes of them."""
        places = self._layouts[0].places
        unsaid = self._recipe.missing == "error" and not self._recipe.keep
        if unsaid and places and model.places:
            refuse_parts((self._location(0), places), (self._location(number), model.places))

    def _location(self, number: int) -> str:
        return self._opener.sources[self._positions[number]].location

    def _without_averages(self) -> list[Mapping[str, TensorInfo]]:
        """Return the models' tensors; of moving averages those that all have, for others would be one model's alone."""
        found = [self._opener.sources[position].tensors for position in self._positions]
        having = [number for number, tensors in enumerate(found) if any(map(is_average, tensors))]
        if len(having) == len(found):
            return found
        for number in having:
            kept = {name: tensor for name, tensor in found[number].items() if not name.startswith(AVERAGES)}
            reason, position = "a moving average, which not all models have", self._positions[number]
            self._skips += [Skip(position, name, reason) for name in found[number] if name not in kept]
            what = f"{self._location(number)} has {_AVERAGED}"
            self._notes.append(f"{what}: the weights are merged, the averages are left out")
            found[number] = kept
        return found

    def _replace_thinned(self, first: Layout) -> None:
        """Put the first model without its moving averages in its place, where they are left out."""
        position = self._positions[0]
        source = self._opener.sources[position]
        if len(first.tensors) != len(source.tensors):
            self._replace(position, PartSource(source, first.tensors, f"{source.location} (without averages)"))

    def _replace(self, position: int, source: Source) -> None:
        self._replaced[position] = len(self._opener.sources)
        self._opener.sources.append(source)

    def _fit_into_one(self, first: Layout, wanted: Layout) -> Layout:
        """Put the first model under the names of a single file, without what such a file has no place for."""
        position = self._positions[0]
        source = self._opener.sources[position]
        fitted = fit(wanted, first, source.location)
        self._skips += [Skip(position, name, "a single file has no place for it") for name in fitted.extra]
        self._replace(position, renamed(source, fitted, {}))
        return wanted

    def _fit(self, first: Layout, model: Layout, position: int) -> None:
        source = self._opener.sources[position]
        fitted = fit(first, model, source.location)
        absent = [name for name in first.tensors if name not in fitted.plain and name not in fitted.pieced]
        self._kept.update(name for name in absent if self._is_unused(first, name))
        idle = [name for name in fitted.extra if self._is_unused(model, name)]
        self._skips += [Skip(position, name, _UNUSED) for name in idle]
        if fitted.is_as_saved(model.tensors) and not idle and len(model.tensors) == len(source.tensors):
            return
        extra = {name: model.tensors[name] for name in fitted.extra if name not in idle}
        self._replace(position, renamed(source, fitted, extra))
        self._note_names(source, fitted)

    def _is_unused(self, layout: Layout, name: str) -> bool:
        held = layout.held.get(name, ())
        return bool(held) and all(map(self._unused, held))

    def _note_names(self, source: Source, fitted: Fitted) -> None:
        other = sum(name != tensor.name for name, tensor in fitted.plain.items())
        if other or fitted.pieced:
            parts = f", {len(fitted.pieced):,} of them put together from parts" if fitted.pieced else ""
            count = other + len(fitted.pieced)
            self._notes.append(f"{source.location} has other names for {count:,} tensors{parts}; matched")

    def _note_kept(self) -> None:
        if self._kept:
            what = "tensor that nothing looks at is" if len(self._kept) == 1 else "tensors that nothing looks at are"
            taken = f"taken from {self._location(0)}: another model lacks them"
            self._notes.append(f"{len(self._kept):,} {what} {taken}")
