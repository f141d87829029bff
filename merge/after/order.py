"""Are models in the same order of units? Their weights tell, roughly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .toward import unlike

if TYPE_CHECKING:
    from ..evaluation.candidate import Candidate

SAME_ORDER = 0.65  # a cosine; that of averages in two orders of one model's units is little more than 1/2


class Nearness:
    """How near a model is to the average of others, of which it should be one.

    Args:
        model: The model.
    """

    def __init__(self, model: Candidate) -> None:
        self._model = model
        self._weights = [name for name, one in model.tensors.items() if one.is_floating_point() and one.ndim > 1]
        self._sum = {name: model.tensors[name].float() * 0 for name in self._weights}

    def add(self, other: Candidate, share: float) -> dict[str, str]:
        """Add one of the others, by its share, and return its name and content id.

        Raises:
            MergeError: It lacks a weight, or has one of another shape.
        """
        for name in self._weights:
            found = other.tensors.get(name)
            wanted = self._model.tensors[name].shape
            if found is None or found.shape != wanted:
                raise unlike(name, wanted, self._model.name, found if found is None else found.shape, other.name)
            self._sum[name] += share * found.float()
        return {"model": other.name, "content_id": other.identity}

    def cosine(self) -> float:
        """Return the cosine between the model's weights and the average of the others', rounded to three digits."""
        import torch

        products = torch.zeros(3, dtype=torch.float64)
        for name, total in self._sum.items():
            one, other = self._model.tensors[name].double().flatten(), total.double().flatten()
            products += torch.stack([one @ other, one @ one, other @ other])
        return round(float(products[0] / (products[1] * products[2]).sqrt().clamp_min(1e-30)), 3)
