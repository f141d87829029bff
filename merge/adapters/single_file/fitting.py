"""A single-file adapter's tensors ▸ what becomes of every tensor of the base, or the reason why the two do not fit."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from ...checkpoints.checkpoint import FileCheckpoint
from ...checkpoints.header import TensorInfo
from ...checkpoints.strength import FULL, Strength
from ...diffusion.modules import Place
from ...dtypes import DTYPES
from ...errors import MergeError
from ..changes import Change, Part
from ..differences import Difference, Whole
from ..fitting import Fitted
from ..forms import Forms
from .finding import find_modules
from .keys import Keys, Parts, sort_keys
from .modules import Module
from .origin import Origin
from .scaling import Scaling

_BESIDE = ("alpha", "magnitude", "shift", "diff_b", "w_norm", "b_norm")  # of a module's tensors, what makes no form


def fit_file(weights: FileCheckpoint, base: FileCheckpoint, where: str, strength: Strength = FULL) -> Fitted:
    """Decide about every tensor of a single-file adapter, from headers and the scale of every module alone.

    Args:
        weights: The adapter's file.
        base: What it is baked into.
        where: The adapter, for messages.
        strength: How much of it.

    Raises:
        MergeError: It is of a kind that is not read, or a part of it does not fit.
    """
    keys = sort_keys(weights.tensors, where)
    origin = Origin(keys, weights.metadata, base.tensors)
    fitting = _Fitting(keys, weights, base, where, strength, origin)
    for module, found in find_modules(keys, base, where, origin).items():
        fitting.add(module, found)
    return Fitted(fitting.changes, origin.notes())


class _Fitting:
    def __init__(
        self,
        keys: Keys,
        weights: FileCheckpoint,
        base: FileCheckpoint,
        where: str,
        strength: Strength,
        origin: Origin,
    ) -> None:
        self._keys, self._base, self._where, self._origin = keys, base, where, origin
        self._strength, self._scaling = strength, Scaling(keys, weights, base.config, where)
        self.changes: dict[str, Change] = {}

    def add(self, module: str, found: Module) -> None:
        """Take all that the adapter has for a module."""
        parts = self._keys.modules[module]
        strength = self._strength.text if found.is_text else self._strength.model
        form = {name: tensor for name, tensor in parts.items() if name not in _BESIDE}
        factor = 1.0
        if form:
            factor = self._add_form(module, found, parts, form, strength)
        elif parts.keys() & {"magnitude", "shift", "alpha"} and not parts.keys() & {"diff_b", "w_norm", "b_norm"}:
            what = f"'{module}' has '{min(parts)}' and no factors"
            raise MergeError(what, where=self._where, hint="save it anew")
        for name, leaf in (("w_norm", "weight"), ("b_norm", "bias"), ("diff_b", "bias"), ("shift", "bias")):
            if name in parts:
                scaled = factor if name == "shift" else 1.0
                self._add_vector(module, found, leaf, parts[name], scaled, strength)

    def _add_form(self, module: str, found: Module, parts: Parts, form: Parts, strength: float) -> float:
        place = self._place(module, found, "weight")
        made = Forms(module, form, place.shape, place.transposed, self._where, self._origin.hint).form()
        factor = self._scaling.of(module, parts, made.rank)
        self._check_floating([self._base.tensors[place.name], *(parts[name] for name in parts if name != "alpha")])
        magnitude = parts.get("magnitude")
        by_input = self._is_by_input(module, magnitude, place) if magnitude is not None else False
        self._put(place, made.difference, factor, strength, magnitude, by_input != place.transposed)
        return factor

    def _is_by_input(self, module: str, magnitude: TensorInfo, place: Place) -> bool:
        """Tell whether magnitudes are those of inputs, and not of outputs: LyCORIS had both ways."""
        outputs, inputs = place.shape[0], prod(place.shape[1:2])
        count, is_row = prod(magnitude.shape), magnitude.shape[:1] == (1,) and len(magnitude.shape) > 1
        if count == outputs and (not is_row or outputs == 1):
            return False
        if count == inputs and is_row:
            return True
        what = f"the magnitudes of '{module}' are {list(magnitude.shape)} for {outputs} outputs and {inputs} inputs"
        raise MergeError(what, where=self._where, hint=self._origin.hint)

    def _add_vector(
        self, module: str, found: Module, leaf: str, vector: TensorInfo, factor: float, strength: float
    ) -> None:
        """Take what is added to a bias, or to a norm's weight."""
        place = self._place(module, found, leaf)
        if vector.shape != place.shape:
            what = f"'{vector.name}' is {list(vector.shape)}, and the base's '{place.name}' is {list(place.shape)}"
            raise MergeError(what, where=self._where, hint=self._origin.hint)
        self._check_floating([self._base.tensors[place.name], vector])
        self._put(place, Whole(vector), factor, strength)

    def _put(
        self,
        place: Place,
        difference: Difference,
        factor: float,
        strength: float,
        magnitude: TensorInfo | None = None,
        by_column: bool = False,
    ) -> None:
        tensor = self._base.tensors[place.name]
        first, last = (place.rows.start, place.rows.stop) if place.rows else (0, *(tensor.shape[:1] or (1,)))
        part = Part(difference, factor, first, last, magnitude, by_column)
        known = self.changes.get(tensor.name) or Change(tensor, tensor, strength=strength)
        self.changes[tensor.name] = replace(known, parts=(*known.parts, part))

    def _place(self, module: str, found: Module, leaf: str) -> Place:
        place = found.tensors.get(leaf)
        if place is None:
            what = f"adapts the {leaf} of '{module}', and {self._base.location} has none"
            raise MergeError(what, where=self._where, hint=self._origin.hint)
        return place

    def _check_floating(self, tensors: list[TensorInfo]) -> None:
        for tensor in tensors:
            if DTYPES[tensor.dtype].kind != "float":
                what = f"'{tensor.name}' is {tensor.dtype}, on which an adapter cannot be baked"
                raise MergeError(what, where=self._where, hint="take the base with weights that are not quantised")
