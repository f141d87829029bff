"""Texts that were drawn, in batches of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Batch
    from .text_subject import Reader


@dataclass
class TextSample:
    """The texts that were drawn, encoded for one model.

    Attributes:
        texts: Encoded by the reader.
        classes: Their class numbers, where the model predicts classes and the data has labels.
        reader: Puts them together.
        about: What a statistics file records.
    """

    texts: Sequence[Any]
    classes: Sequence[int] | None
    reader: Reader
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.texts)

    def batches(self, size: int, first: int = 0) -> Iterator[Batch]:
        """Yield the texts in order, from the item ``first`` on, each batch filled up to its longest text."""
        self.reader.begin(self.texts)
        rows = self.reader.rows(size)
        for start in range(first, len(self), rows):
            part = slice(start, start + rows)
            yield self.reader.batch(self.texts[part], self._labels(part))

    def _labels(self, part: slice) -> Tensor | None:
        import torch

        return None if self.classes is None else torch.tensor(list(self.classes[part]))
