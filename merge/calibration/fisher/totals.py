"""The sums over all items so far, what they are divided by, and how much they still change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

EVERY = 512  # items between two looks at the change
_SUM, _MEAN = "sum/", "mean/"


class Totals:
    """Sums of squared gradients, in float64.

    Args:
        shapes: The parameters by name.
        device: Where the sums are kept.
        per_token: Whether sums are divided by the number of predicted tokens, instead of items.

    Attributes:
        items: How many items are in the sums.
        positions: How many predicted tokens.
        convergence: After how many items the mean had changed by what share of itself since the entry before.
    """

    def __init__(self, shapes: Mapping[str, Tensor], device: str, *, per_token: bool) -> None:
        import torch

        self.sums = {
            name: torch.zeros_like(tensor, dtype=torch.float64, device=device) for name, tensor in shapes.items()
        }
        self.items = self.positions = 0
        self.convergence: list[dict[str, float]] = []
        self._device, self._per_token = device, per_token
        self._before: dict[str, Tensor] = {}

    def add(self, squares: Mapping[str, Tensor], items: int, positions: int, where: str) -> None:
        """Add the squares of a batch.

        Raises:
            MergeError: A gradient is not finite.
        """
        for name, square in squares.items():
            if not square.isfinite().all():
                what = f"the gradient of '{name}' is not finite (nan or inf) at items {self.items} to"
                raise MergeError(f"{what} {self.items + items - 1} of the data", where=where)
            self.sums[name] += square.to(self._device)
        self.items += items
        self.positions += positions

    @property
    def divisor(self) -> int:
        """What the sums are divided by."""
        return max(1, self.positions) if self._per_token else self.items

    def look(self) -> float | None:
        """Record by what share of itself the mean has changed since the last look; None the first time."""
        import torch

        changed = whole = 0.0
        first = not self._before
        for name, total in self.sums.items():
            mean = total / self.divisor
            if not first:
                changed += float((mean - self._before[name]).square().sum())
                whole += float(mean.square().sum())
            self._before[name] = mean.to(torch.float32)
        if first:
            return None
        change: float = (changed / whole) ** 0.5 if whole else 0.0
        self.convergence.append({"samples": self.items, "change": change})
        return change

    def into_means(self) -> dict[str, Tensor]:
        """Divide the sums, and return them as the Fisher information, on the CPU. Nothing can be added any more."""
        return {name: total.div_(self.divisor).cpu() for name, total in self.sums.items()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything that going on later needs: tensors, and JSON values."""
        tensors = {_SUM + name: tensor.cpu() for name, tensor in self.sums.items()}
        tensors |= {_MEAN + name: tensor.cpu() for name, tensor in self._before.items()}
        return tensors, {"items": self.items, "positions": self.positions, "convergence": self.convergence}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.sums = {name: tensors[_SUM + name].to(self._device) for name in self.sums}
        self._before = {name: tensors[_MEAN + name].to(self._device) for name in self.sums if _MEAN + name in tensors}
        self.items, self.positions = facts["items"], facts["positions"]
        self.convergence = list(facts["convergence"])
