"""Which tensor of a statistics file belongs to which tensor of the merge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ..calibration.facts import CONVOLUTION, IN_OUT, Facts
from ..checkpoints.checkpoint import Source
from ..checkpoints.header import TensorInfo
from ..errors import MergeError
from ..program import Call, Expression, Input, Statistic, calls
from .bound import Bound, BoundCall
from .names import Matched

OUT_IN = "out_in"


class Learned:
    """The statistics files of a plan.

    Args:
        opened: All sources, statistics files among them.
        matched: Each model's tensors under the reference's names.
        facts: What each statistics file says of itself, by its position among the sources.

    Attributes:
        facts: The same.
    """

    def __init__(self, opened: Sequence[Source], matched: Sequence[Matched], facts: Mapping[int, Facts]) -> None:
        self._opened, self._matched, self.facts = opened, matched, facts

    def of_call(
        self, bound: BoundCall, name: str, shape: tuple[int, ...], present: Sequence[int]
    ) -> tuple[tuple[Statistic, ...], str]:
        """Return the statistics of a tensor, one for each present model, and its layout; nothing where it has none.

        Raises:
            MergeError: Only some models have statistics of it and the method does not take that, or they have another
                shape.
        """
        files = [bound.statistics[number] for number in present]
        found = [self._info(bound.statistics[number], bound.inputs[number], name) for number in present]
        if not found or all(info is None for info in found):
            return (), ""
        kind = bound.method.statistics
        if kind == "coefficients":
            files, found = self._lent(bound, name, present, files, found)
        if None in found:
            if bound.method.partial_statistics:
                return (), ""
            missing = self._opened[files[found.index(None)]].location
            raise MergeError(f"no statistics of '{name}', which other models' files have", where=missing)
        layout = self._layout(bound, name)
        aligned = kind == "fisher"
        for number, info in zip(files, found, strict=True):
            wanted = _wanted(kind, shape, layout, found[0])
            if info is not None and info.shape != wanted:
                what = f"the statistics of '{name}' have shape {list(info.shape)} instead of {list(wanted)}"
                raise MergeError(what, where=self._opened[number].location, hint="they are another model's")
        again = aligned and self._own_name(bound.inputs[present[0]], name) in self.facts[files[0]].aliases
        return tuple(Statistic(number, aligned, again) for number in files), layout if kind == "gram" else ""

    def _lent(
        self, bound: BoundCall, name: str, present: Sequence[int], files: list[int], found: list[TensorInfo | None]
    ) -> tuple[list[int], list[TensorInfo | None]]:
        """Give a model that lacks the tensor another one's coefficients: for its task vector, 0, any will do."""
        lender = next(place for place, info in enumerate(found) if info is not None)
        children = [bound.inputs[number] for number in present]
        lacks = [isinstance(child, int) and name not in self._matched[child].tensors for child in children]
        borrows = [absent and info is None for absent, info in zip(lacks, found, strict=True)]
        return (
            [files[lender] if borrowed else file for borrowed, file in zip(borrows, files, strict=True)],
            [found[lender] if borrowed else info for borrowed, info in zip(borrows, found, strict=True)],
        )

    def rows(self, bound: BoundCall, name: str) -> int | None:
        """Return of how many rows the Gram matrices of a tensor are means, in all; None where a file does not say."""
        counts = []
        for number, child in zip(bound.statistics, bound.inputs, strict=True):
            info = self._info(number, child, name)
            counts.append(self.facts[number].rows.get(info.name) if info else None)
        return None if None in counts else sum(count for count in counts if count is not None)

    def why_without(self, bound: BoundCall, name: str) -> str:
        """Return why there are no statistics of a tensor, as a file that has none says; empty where none says it."""
        for number, child in zip(bound.statistics, bound.inputs, strict=True):
            left_out = self.facts[number].about.get("left_out")
            if isinstance(left_out, Mapping) and (own := self._own_name(child, name)) in left_out:
                return str(left_out[own])
        return ""

    def infos(self, expression: Expression | None, name: str) -> Iterator[tuple[Statistic, TensorInfo]]:
        """Yield every statistic that an expression reads for a tensor, with where it lies."""
        for call in calls(expression) if expression is not None else ():
            for statistic, child in zip(call.statistics, call.inputs, strict=bool(call.statistics)):
                info = self._info(statistic.source, _bound_of(child), name)
                if info is not None:
                    yield statistic, info

    def _info(self, number: int, model: Bound | None, name: str) -> TensorInfo | None:
        own = self._own_name(model, name)
        return self._opened[number].tensors.get(self.facts[number].aliases.get(own, own))

    def _own_name(self, model: Bound | None, name: str) -> str:
        """Return what a model calls a tensor; a merge calls it as the output does."""
        tensor = self._matched[model].tensors.get(name) if isinstance(model, int) else None
        return tensor.name if tensor else name

    def _layout(self, bound: BoundCall, name: str) -> str:
        names = [self._own_name(child, name) for child in bound.inputs]
        found = {
            self.facts[number].layout.get(own, OUT_IN) for number, own in zip(bound.statistics, names, strict=True)
        }
        if len(found) > 1:
            raise MergeError(f"the Gram matrices of '{name}' are for different layouts: {', '.join(sorted(found))}")
        return found.pop()

    def check_names(self, bound: Bound) -> None:
        """Refuse files that have statistics of tensors which their model lacks.

        Raises:
            MergeError: Naming file and tensor.
        """
        if not isinstance(bound, BoundCall):
            return
        for number, child in zip(bound.statistics, bound.inputs, strict=False):
            source = self._opened[number]
            known = self._opened[child if isinstance(child, int) else 0].tensors
            aliases = self.facts[number].aliases
            missing = next((owner for owner in aliases.values() if owner not in source.tensors), None)
            if missing is not None:
                what = f"'aliases' in the metadata names '{missing}', which the file lacks"
                raise MergeError(what, where=source.location, hint="compute the file again")
            named = [*source.tensors, *aliases]
            unknown = [name for name in named if name not in known]
            if unknown:
                what = f"has statistics of '{unknown[0]}', which its model lacks"
                raise MergeError(what, where=source.location, hint="give the statistics in the order of the models")
        for child in bound.inputs:
            self.check_names(child)

    def check_model(self, number: int, model: int, identity: str) -> None:
        """Refuse a file that was computed from another model than the one with this content id.

        Raises:
            MergeError: Naming both.
        """
        known = self.facts[number].model
        if known and known != identity:
            what = f"these statistics were computed from another model than {self._opened[model].location}"
            hint = "give them in the order of the models, or compute them again with: merge calibrate"
            raise MergeError(what, where=self._opened[number].location, hint=hint)


def check_models(learned: Learned, bound: Bound, identities: Mapping[int, str]) -> None:
    """Refuse statistics of other models, as far as the models' content ids are known.

    Raises:
        MergeError: Naming file and model.
    """
    if isinstance(bound, BoundCall):
        for number, child in zip(bound.statistics, bound.inputs, strict=False):
            if isinstance(child, int) and child in identities:
                learned.check_model(number, child, identities[child])
        for child in bound.inputs:
            check_models(learned, child, identities)


def _bound_of(child: Expression) -> int | None:
    return child.source if isinstance(child, Input) else None


def _wanted(kind: str, shape: tuple[int, ...], layout: str, first: TensorInfo | None) -> tuple[int, ...]:
    """Return the shape of a tensor's statistics; coefficients of all models have as many parts as the first's."""
    if kind == "coefficients":
        return first.shape if first is not None and len(first.shape) == 1 and first.shape[0] else (1,)
    return shape if kind == "fisher" else (_inputs(shape, layout),) * 2


def _inputs(shape: tuple[int, ...], layout: str) -> int:
    """Return how many inputs the matrix has that a tensor of this shape is."""
    if layout == IN_OUT:
        return shape[0]
    return math.prod(shape[1:]) if layout == CONVOLUTION else shape[-1] if shape else 1


def inputs_of(call: Call, shape: tuple[int, ...]) -> int:
    """Return how many inputs a tensor with Gram matrices has."""
    return _inputs(shape, call.layout)
