"""The gradient of a classifier's loss on labelled images with respect to its weights, which may change every step."""

from __future__ import annotations

from collections.abc import Mapping
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


class ImageGradients:
    """A network that was built once, into which other weights are written for every step.

    Args:
        classifier: The network. It stays in evaluation mode, so that dropout is off and BatchNorm uses its statistics.
        data: The images.
        normalization: How their pixels are prepared.
    """

    def __init__(self, classifier: Classifier, data: ImageSet, normalization: Normalization) -> None:
        self._classifier, self._data, self._normalization = classifier, data, normalization
        self._parameters = classifier.parameters()
        self._buffers = dict(classifier.network.named_buffers())

    def step(
        self, tensors: Mapping[str, Tensor], items: NDArray[np.int64], temperature: float
    ) -> tuple[float, dict[str, Tensor], float]:
        """Return the mean cross-entropy over these images, its gradient by tensor name, and that of the temperature.

        Raises:
            MergeError: The loss is not finite.
        """
        import torch

        self._write(tensors)
        scale = torch.tensor(temperature, dtype=torch.float32, requires_grad=True)
        labels = torch.from_numpy(self._data.labels[items])
        loss = torch.nn.functional.cross_entropy(scale * self._logits(items).cpu(), labels)
        if not loss.isfinite():
            raise MergeError(f"the loss is {loss.item()} during learning", where=self._classifier.name)
        names = [name for name in tensors if name in self._parameters]
        found = torch.autograd.grad(loss, [*(self._parameters[name] for name in names), scale], allow_unused=True)
        gradient = {name: slope.cpu() for name, slope in zip(names, found, strict=False) if slope is not None}
        return loss.item(), gradient, float(found[-1])

    def _logits(self, items: NDArray[np.int64]) -> Tensor:
        expected = self._classifier.expects
        return self._classifier.forward(prepare(self._data.pixels(items, expected), self._normalization, expected))

    def _write(self, tensors: Mapping[str, Tensor]) -> None:
        import torch

        with torch.no_grad():
            for name, tensor in tensors.items():
                place = self._parameters.get(name)
                place = self._buffer(name) if place is None else place
                if place is not None:
                    place.copy_(tensor)

    def _buffer(self, name: str) -> Tensor | None:
        """Return the buffer of a tensor, whose name in the checkpoint may have a prefix more or less."""
        near = (here for here in self._buffers if here.endswith(f".{name}") or name.endswith(f".{here}"))
        here = name if name in self._buffers else next(near, None)
        return None if here is None else self._buffers[here]
