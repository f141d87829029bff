"""How a matching by gradients went."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GradientReport:
    """Losses of the network halfway between two models, less the mean of the losses of the two.

    All are mean cross-entropies over the same items. Where they are near 0, the models are in one basin.

    Attributes:
        data: Name of the data.
        items: How many items were drawn from it.
        ends: Losses of the two models themselves.
        as_it_is: Halfway, with the units in the order as it is.
        by_weights: Halfway, in the order that weight matching finds, which is where the steps start.
        found: Halfway, in the order that is returned.
        step: The step that has found it; 0 where none was better than the order as it is, and that by weights.
        history: Halfway, after each step.
    """

    data: str
    items: int
    ends: tuple[float, float]
    as_it_is: float
    by_weights: float
    found: float
    step: int
    history: tuple[float, ...]

    @property
    def summary(self) -> str:
        """All that in a sentence without a beginning."""
        told = f"{self.as_it_is:.4g} as they are, {self.by_weights:.4g} by weights"
        steps = f"{self.found:.4g} after {self.step} of {len(self.history)} steps on {self.items} items"
        found = steps if self.step else f"no better in {len(self.history)} steps on {self.items} items"
        return f"loss halfway, above the mean of the two models': {told}, {found}"
