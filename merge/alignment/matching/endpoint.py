"""The weights that gradients move in straight-through matching: an endpoint that no permutation need reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .readers import Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.floating[Any]]

MOMENTUM = 0.9  # of the authors' code


class Endpoint:
    """Tensors that begin as a model's, and descend. To a matching they are a model like any other.

    Every tensor's gradient is brought to the length that the tensor had first: so one learning rate does for networks
    and layers of any scale, and for losses that are nearly flat.

    Args:
        model: Where it begins.
        names: The tensors that it has.
        learning_rate: Share of a tensor's length that it moves in its first step.

    Raises:
        MergeError: A tensor cannot be read.
    """

    def __init__(self, model: Reader, names: Iterable[str], learning_rate: float) -> None:
        import numpy as np

        self.where, self._rate = "the endpoint that gradients move", learning_rate
        self._tensors: dict[str, Numbers] = {name: np.array(model.read(name), np.float32) for name in sorted(names)}
        self._lengths = {name: _length(tensor) for name, tensor in self._tensors.items()}
        self._velocities: dict[str, Numbers] = {}
        self.shapes: Mapping[str, tuple[int, ...]] = {name: tensor.shape for name, tensor in self._tensors.items()}

    def read(self, name: str) -> Numbers:
        """Return a tensor as it is now."""
        return self._tensors[name]

    def step(self, gradient: Mapping[str, Numbers]) -> None:
        """Take a step of gradient descent with momentum; tensors without a gradient stay."""
        for name in self._tensors.keys() & gradient.keys():
            self._move(name, gradient[name])

    def _move(self, name: str, slope: Numbers) -> None:
        import numpy as np

        length = _length(slope)
        scale = np.float32(self._lengths[name] / length if length else 0.0)
        velocity = self._velocities.setdefault(name, np.zeros_like(self._tensors[name]))
        velocity *= np.float32(MOMENTUM)
        velocity += scale * slope
        self._tensors[name] = self._tensors[name] - np.float32(self._rate) * velocity


def _length(tensor: Numbers) -> float:
    import numpy as np

    return float(np.sqrt(np.square(tensor, dtype=np.float64).sum()))
