"""Gram matrices as they grow: G = mean over rows x of x^T x (RegMean, arXiv 2212.09849, equation 2 over n)."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import MergeError
from .masks import Masks
from .same_inputs import SameInputs

if TYPE_CHECKING:
    from torch import Tensor


class _Sum(NamedTuple):
    """Products x^T x of several rows: [inputs, inputs] in float64, and how many rows."""

    total: Tensor
    rows: int


class Grams(NamedTuple):
    """Gram matrices by the names of parameters.

    Attributes:
        means: [inputs, inputs] in float64, exactly symmetric.
        aliases: Name of the matrix that serves a parameter, where it is another's.
        rows: How many rows each matrix is the mean of.
        layouts: How each parameter, aliases included, is stored; see `Watch`.
    """

    means: dict[str, Tensor]
    aliases: dict[str, str]
    rows: dict[str, int]
    layouts: dict[str, str]


class GramSums:
    """An observer for `Watch` that keeps one sum for all parameters that always have the very same input.

    `end_batch` must be called after each batch.

    Args:
        where: The model, for messages.

    Attributes:
        masks: Which rows count; to be set before each batch that has padding.
        aliases: Name of the parameter that has the Gram matrix, by the name of one that shares it.
        layouts: How each parameter that was seen is stored; see `Watch`.
        mixed: Parameters that were used both as they are and transposed; they have no Gram matrix.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._sums: dict[str, _Sum] = {}
        self._pending: dict[int, _Sum] = {}  # of inputs of parameters that no former batch has used
        self._inputs = SameInputs()
        self.masks = Masks()
        self.aliases: dict[str, str] = {}
        self.layouts: dict[str, str] = {}
        self.mixed: set[str] = set()

    def observe(self, name: str, inputs: Tensor, layout: str) -> None:
        """Add the rows of an input.

        Raises:
            MergeError: They are not finite.
        """
        if self.layouts.setdefault(name, layout) != layout:
            self.mixed.add(name)
        if name in self.mixed:
            return
        number = self._inputs.note(name, inputs)
        if name in self._sums:
            self._sums[name] = _added(self._sums[name], self._products(name, inputs))
        elif name not in self.aliases and number not in self._pending:
            self._pending[number] = self._products(name, inputs)

    def _products(self, name: str, inputs: Tensor) -> _Sum:
        import torch

        with torch.no_grad():
            mask = self.masks.rows(inputs)
            rows = inputs.reshape(-1, inputs.shape[-1]) if mask is None else inputs[mask]
            rows = rows.float() if rows.element_size() < 4 else rows
            total = (rows.T @ rows).double()
        if not torch.isfinite(total).all():
            hint = "the model, or its data, holds numbers that are too large, or none"
            raise MergeError(f"the inputs of '{name}' are not finite", where=self._where, hint=hint)
        return _Sum(total, len(rows))

    def end_batch(self) -> None:
        """Settle which parameters share a sum.

        Raises:
            MergeError: Parameters that had the same inputs in their first batch no longer have.
        """
        seen = self._inputs.take()
        for name, owner in self.aliases.items():
            if seen.get(name) != seen.get(owner):
                what = f"'{owner}' and '{name}' had the same inputs in one batch, but not in another"
                raise MergeError(what, where=self._where, hint="what runs must not depend on the data")
        self._settle({name: numbers for name, numbers in seen.items() if not self._is_settled(name)})
        self._pending.clear()
        self.masks = Masks()

    def _is_settled(self, name: str) -> bool:
        return name in self._sums or name in self.aliases or name in self.mixed

    def _settle(self, seen: Mapping[str, tuple[int, ...]]) -> None:
        owners: dict[tuple[int, ...], str] = {}
        for name, numbers in seen.items():
            owner = owners.setdefault(numbers, name)
            if owner == name:
                self._sums[name] = _total([self._pending[number] for number in numbers])
            else:
                self.aliases[name] = owner

    def grams(self, left_out: Collection[str] = ()) -> Grams:
        """Return the Gram matrices of all parameters that had a row.

        Args:
            left_out: Parameters that shall have none.
        """
        means: dict[str, Tensor] = {}
        aliases: dict[str, str] = {}
        rows: dict[str, int] = {}
        for first, found in self._sums.items():
            sharing = [first, *(name for name, owner in self.aliases.items() if owner == first)]
            names = [name for name in sharing if name not in left_out and name not in self.mixed]
            if names and found.rows:
                mean = found.total / found.rows
                means[names[0]], rows[names[0]] = (mean + mean.T) / 2, found.rows
                aliases |= dict.fromkeys(names[1:], names[0])
        return Grams(means, aliases, rows, {name: self.layouts[name] for name in (*means, *aliases)})

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything between two batches: tensors, and what goes into JSON."""
        rows = {name: found.rows for name, found in self._sums.items()}
        notes = {"rows": rows, "aliases": self.aliases, "layouts": self.layouts, "mixed": sorted(self.mixed)}
        return {name: found.total for name, found in self._sums.items()}, notes

    def restore(self, tensors: Mapping[str, Tensor], notes: Mapping[str, Any], device: str) -> None:
        """Undo `state`."""
        self._sums = {name: _Sum(tensors[name].to(device), rows) for name, rows in notes["rows"].items()}
        self.aliases, self.layouts = dict(notes["aliases"]), dict(notes["layouts"])
        self.mixed = set(notes["mixed"])


def _added(one: _Sum, other: _Sum) -> _Sum:
    return _Sum(one.total.add_(other.total), one.rows + other.rows)


def _total(sums: Sequence[_Sum]) -> _Sum:
    """Add sums up, leaving them as they are."""
    first, *others = sums
    return functools.reduce(_added, others, _Sum(first.total.clone(), first.rows)) if others else first
