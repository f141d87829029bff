"""What calibration runs: a network, and a sample of data prepared for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100  # a label that stands for no prediction, as in torch's cross-entropy


@dataclass(frozen=True)
class Batch:
    """Consecutive items of a sample, on the CPU.

    Attributes:
        inputs: Tensors that each have one row per item: ``pixels`` [items, channels, height, width], or token numbers,
            attention masks and so on [items, tokens].
        labels: The data's labels: class numbers [items]; for models that predict tokens [items, tokens], the token
            that each position has to predict, `IGNORED` where it predicts none. None where the data has none.
        counted: Masks [items, tokens] of the tokens that are no padding, by the name of the input; empty for images.
    """

    inputs: Mapping[str, Tensor]
    labels: Tensor | None = None
    counted: Mapping[str, Tensor] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


class Subject(Protocol):
    """A network in evaluation mode, in float32, whose weights can be written.

    Attributes:
        name: The model, as the user gave it.
        module: The torch module. Its parameters require gradients.
        device: Where it is.
        predicts: ``classes``: one prediction for each item; ``tokens``: one for each position; ``nothing``: an encoder
            without a head, of which only activations can be had.
    """

    name: str
    module: Any
    device: str
    predicts: str

    def places(self) -> Mapping[str, Tensor]:
        """Return parameters and buffers by the names that their tensors have in the checkpoint.

        Several names may share one parameter (tied weights); tensors that the network has no single place for are
        left out.
        """

    def run(self, inputs: Mapping[str, Tensor]) -> None:
        """Run the network once.

        Raises:
            MergeError: It does not run on them.
        """

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits [items, classes] or [items, tokens, vocabulary], with their gradients, on the device.

        Position t of the latter predicts what `Batch.labels` has at t.

        Raises:
            MergeError: It does not run on them, or predicts nothing.
        """


class Sample(Protocol):
    """The items that were drawn.

    Attributes:
        about: What a statistics file records of the data: name, digest of the items, number, draw, seed.
    """

    about: Mapping[str, Any]

    def __len__(self) -> int: ...

    def batches(self, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the items in the order of the sample, from the item ``first`` on.

        Raises:
            MergeError: An item cannot be read.
        """
