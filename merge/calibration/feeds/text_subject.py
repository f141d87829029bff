"""Networks that read texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .running import no_predictions, running

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Batch
    from .text_reader import Row

    Tensors = Mapping[str, Tensor]


class Reader(Protocol):
    """Turns texts into what one model reads; what it makes of a text is its own affair.

    Attributes:
        gives_texts: Whether the model has to give a target text for each text.
    """

    gives_texts: bool

    def read(self, row: Row, seed: Sequence[int]) -> tuple[Any, bool]:
        """Encode one text, and tell whether it was cut. Raises MergeError where it cannot be read."""

    def pieces(self, document: str) -> Sequence[Any]:
        """Return a running text in pieces that the model takes at once."""

    def read_piece(self, piece: Any, number: int, seed: Sequence[int]) -> Any:
        """Encode a piece. Raises MergeError where it cannot be read."""

    def rows(self, size: int) -> int:
        """Return how many texts go into a batch, ``size`` at most."""

    def begin(self, texts: Sequence[Any]) -> None:
        """Get ready for batches of these encoded texts."""

    def batch(self, texts: Sequence[Any], classes: Tensor | None) -> Batch:
        """Put encoded texts together; ``classes`` [items] are their labels, if they have any."""


@dataclass
class TextSubject:
    """A network that reads texts.

    Attributes:
        name: The model, as the user gave it.
        module: The torch module.
        device: Where it is.
        predicts: ``classes``, ``tokens`` or ``nothing``.
        reader: Turns texts into inputs.
        call: Inputs on the device ▸ the network's outputs.
        to_logits: Outputs and inputs ▸ logits, with gradients.
        placed: Parameters and buffers by the checkpoint's names.
    """

    name: str
    module: Any
    device: str
    predicts: str
    reader: Reader
    call: Callable[[Tensors], Any]
    to_logits: Callable[[Any, Tensors], Tensor]
    placed: Tensors

    def places(self) -> Mapping[str, Tensor]:
        """Return parameters and buffers by the checkpoint's names; tensors without a place of their own are absent."""
        return self.placed

    def run(self, inputs: Tensors) -> None:
        """Run the network once. Raises MergeError where it does not run."""
        self._outputs(self._moved(inputs))

    def logits(self, inputs: Tensors) -> Tensor:
        """Return logits [items, classes] or [items, tokens, vocabulary], with gradients.

        Raises:
            MergeError: The network does not run, has no head, or the head of the data does not fit.
        """
        if self.predicts == "nothing":
            raise no_predictions(self.module, self.name)
        moved = self._moved(inputs)
        return self.to_logits(self._outputs(moved), moved).float()

    def _outputs(self, inputs: Tensors) -> Any:
        with running(self.module, inputs, self.name):
            return self.call(inputs)

    def _moved(self, inputs: Tensors) -> Tensors:
        return {name: tensor.to(self.device) for name, tensor in inputs.items()}
