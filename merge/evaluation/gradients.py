"""The gradient of a classifier's loss with respect to its weights, which may change every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..errors import MergeError
from .images import prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .classifier import Classifier
    from .data.image_set import ImageSet
    from .images import Normalization

    Forward = Callable[[NDArray[np.int64]], Tensor]


class WeightGradients:
    """A network that was built once, into which other weights are written for every step.

    It stays in evaluation mode, so that dropout is off and BatchNorm uses its statistics.

    Args:
        name: The model, for messages.
        places: The network's parameters and buffers by the names of the checkpoint's tensors, in memory of their own.
        labels: Class numbers of all items [n].
        logits: Numbers of items ▸ logits [items, classes], with gradients.
    """

    def __init__(
        self,
        name: str,
        places: Mapping[str, Tensor],
        labels: NDArray[np.int64],
        logits: Forward,
    ) -> None:
        self._name, self._places = name, places
        self._labels, self._logits = labels, logits

    def step(
        self, tensors: Mapping[str, Tensor], items: NDArray[np.int64], temperature: float
    ) -> tuple[float, dict[str, Tensor], float]:
        """Return the mean cross-entropy over these items, its gradient by tensor name, and that of the temperature.

        Raises:
            MergeError: The loss is not finite.
        """
        import torch

        self._write(tensors)
        scale = torch.tensor(temperature, dtype=torch.float32, requires_grad=True)
        labels = torch.from_numpy(self._labels[items])
        loss = torch.nn.functional.cross_entropy(scale * self._logits(items).cpu(), labels)
        if not loss.isfinite():
            raise MergeError(f"the loss is {loss.item()} during learning", where=self._name)
        names = [name for name in tensors if name in self._places and self._places[name].requires_grad]
        found = torch.autograd.grad(loss, [*(self._places[name] for name in names), scale], allow_unused=True)
        gradient = {name: slope.cpu() for name, slope in zip(names, found, strict=False) if slope is not None}
        return loss.item(), gradient, float(found[-1])

    def _write(self, tensors: Mapping[str, Tensor]) -> None:
        import torch

        with torch.no_grad():
            for name, tensor in tensors.items():
                if name in self._places:
                    self._places[name].copy_(tensor)


def image_gradients(classifier: Classifier, data: ImageSet, normalization: Normalization) -> WeightGradients:
    """Return the gradients of an image classifier over labelled images."""

    def logits(items: NDArray[np.int64]) -> Tensor:
        expected = classifier.expects
        return classifier.forward(prepare(data.pixels(items, expected), normalization, expected))

    return WeightGradients(classifier.name, classifier.places(), data.labels, logits)
