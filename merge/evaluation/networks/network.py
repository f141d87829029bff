"""What every vision model is to the rest of the evaluation: pixels in, logits or features out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ..image_format import ImageFormat


@dataclass(frozen=True)
class ImageNetwork:
    """A vision model with its weights in place, in evaluation mode.

    Attributes:
        module: The torch module; parameters are float32 and may be trained.
        outputs: Prepared pixels [n, channels, height, width] ▸ logits [n, classes] of a model with classes of its own,
            else features [n, size]. Keeps gradients.
        has_classes: Whether the outputs are logits.
        expects: The pixels it takes.
        names: Name of the parameter or buffer in ``module`` by the tensor's name in the checkpoint, or what finds out;
            with True, it leaves out tensors that have no place of their own, instead of raising.
    """

    module: Any
    outputs: Callable[[Tensor], Tensor]
    has_classes: bool
    expects: ImageFormat
    names: Mapping[str, str] | Callable[[bool], Mapping[str, str]]

    @property
    def architecture(self) -> str:
        """The module's class, for messages."""
        return type(self.module).__name__

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits [n, classes]. Raises TypeError for a model without classes."""
        if not self.has_classes:
            raise TypeError(f"{self.architecture} has no classes")
        return self.outputs(pixels)

    def features(self, pixels: Tensor) -> Tensor:
        """Return the features [n, size]. Raises TypeError for a model with classes."""
        if self.has_classes:
            raise TypeError(f"{self.architecture} gives logits, no features")
        return self.outputs(pixels).flatten(1)

    def places(self) -> dict[str, Any]:
        """Return the parameters, and the buffers, by the names that their tensors have in the checkpoint.

        From then on they have memory of their own: libraries take float32 tensors as they are, and who writes into the
        parameters would change the checkpoint in memory.

        Raises:
            MergeError: The module rearranges tensors, so that they have no place of their own.
        """
        names = self.names(False) if callable(self.names) else self.names
        return places_of(self.module, names)


def own_memory(module: Any) -> None:
    """Let a module share no memory with the checkpoint that it was loaded from, so that it may be written to."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone()


def places_of(module: Any, names: Mapping[str, str]) -> dict[str, Any]:
    """Return a module's parameters and buffers by the checkpoint's names, in memory of their own."""
    own_memory(module)
    own = {**dict(module.named_buffers()), **dict(module.named_parameters(remove_duplicate=False))}
    return {name: own[here] for name, here in names.items() if here in own}
