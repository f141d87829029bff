"""A classifier with the items of a benchmark: what is run batch by batch when several networks act together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .inference import inference
from .task import Advance, ScoringTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .candidate import Candidate
    from .classifier import Classifier
    from .data.image_set import ImageSet
    from .images import Normalization
    from .language.labelled_texts import LabelledTexts
    from .language.text_classifier import TextClassifier
    from .task import Settings


class Predictor(Protocol):
    """A network with its weights, and the items that it is run on, in their order."""

    @property
    def module(self) -> Any:
        """The torch module with all the weights of the checkpoint."""

    @property
    def head_label(self) -> str:
        """Which head classifies."""

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the results should know."""

    def batches(self) -> Iterator[Any]:
        """Yield the inputs of all items in order, batch by batch."""

    def size(self, batch: Any) -> int:
        """Return how many items a batch holds."""

    def logits(self, batch: Any, chosen: Sequence[int] | None = None) -> Tensor:
        """Return logits [n, classes] of a batch, or of the items at some places in it, float32, on the CPU.

        Raises:
            MergeError: The network does not run, or its outputs are not finite or have too few classes.
        """


@runtime_checkable
class PredictingTask(ScoringTask, Protocol):
    """A task over classes whose items can be run batch by batch."""

    def predictor(self, candidate: Candidate) -> Predictor:
        """Build the candidate's network. Raises as `Task.evaluate` does."""


@dataclass(frozen=True)
class _OfClassifier:
    """What images and texts have in common."""

    classifier: Any  # of images, or of texts

    @property
    def module(self) -> Any:
        """The torch module."""
        return self.classifier.network

    @property
    def head_label(self) -> str:
        """Which head classifies."""
        label: str = self.classifier.head_label
        return label

    def size(self, batch: Sized) -> int:
        """Return the number of items."""
        return len(batch)


@dataclass(frozen=True)
class ImagePredictor(_OfClassifier):
    """Images and a classifier."""

    classifier: Classifier
    data: ImageSet
    normalization: Normalization
    settings: Settings
    notes: tuple[str, ...] = ()

    def batches(self) -> Iterator[Tensor]:
        """Yield prepared pixels [n, channels, height, width]."""
        from .images import batches

        return batches(self.data, self.normalization, self.classifier.expects, self.settings.batch_size)

    def logits(self, batch: Tensor, chosen: Sequence[int] | None = None) -> Tensor:
        """Return the logits of images. Raises MergeError, as above."""
        from .scoring import check_classes

        logits = self.classifier.logits(batch if chosen is None else batch[list(chosen)])
        check_classes(logits, self.data, self.classifier.name)
        return logits


@dataclass(frozen=True)
class TextPredictor(_OfClassifier):
    """Texts and a classifier."""

    classifier: TextClassifier
    data: LabelledTexts
    check: Callable[[Tensor], None]

    @property
    def notes(self) -> Sequence[str]:
        """How many texts were cut."""
        return self.classifier.notes(self._encoded[1])

    def batches(self) -> Iterator[list[dict[str, list[int]]]]:
        """Yield the tokens of texts."""
        encoded, _ = self._encoded
        rows = self.classifier.rows
        for first in range(0, len(encoded), rows):
            yield encoded[first : first + rows]

    @cached_property
    def _encoded(self) -> tuple[list[dict[str, list[int]]], int]:
        """The tokens of every text, cut once for all runs, and how many texts were cut."""
        return self.classifier.encode(self.data)

    def logits(self, batch: list[dict[str, list[int]]], chosen: Sequence[int] | None = None) -> Tensor:
        """Return the logits of texts. Raises MergeError, as above."""
        logits = self.classifier.logits(batch, chosen)
        self.check(logits)
        return logits


def predict(predictor: Predictor, settings: Settings, advance: Advance = lambda items: None) -> NDArray[np.float32]:
    """Return the logits [n, classes] of all items.

    Args:
        predictor: The network and its items.
        settings: Their seed.
        advance: Called with every number of items that are done.
    """
    import torch

    parts: list[Tensor] = []
    with inference(settings.seed):
        for batch in predictor.batches():
            parts.append(predictor.logits(batch))
            advance(predictor.size(batch))
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found
