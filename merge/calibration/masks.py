"""Which rows of an input are tokens that count, and which are padding."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class Masks:
    """The masks of one batch.

    A network may read several inputs, as an encoder and a decoder do. An input of a product is told by identity where
    `mark` was called for it, else by `stream`, else by its shape.

    Args:
        counted: Masks [items, tokens], true where a token counts, by the input's name; none for images.

    Attributes:
        stream: Name of the input that is worked on at the moment; None where that is not known.
        last: Name of the input that was worked on last, which is tried first where the present one is not known.
    """

    def __init__(self, counted: Mapping[str, Tensor] | None = None) -> None:
        self._counted = dict(counted or {})
        self._marked: dict[int, tuple[weakref.ref[Tensor], str]] = {}
        self.stream: str | None = None
        self.last: str | None = None

    def mark(self, tensor: Tensor, stream: str) -> None:
        """Note that this very tensor belongs to an input: an encoder's states that a decoder will look at.

        The first mark stands, since a decoder's layers may hand an encoder's states on.
        """
        if self._mark_of(tensor) is None:
            self._marked[id(tensor)] = (weakref.ref(tensor), stream)

    def _mark_of(self, tensor: Tensor) -> str | None:
        reference, stream = self._marked.get(id(tensor), (None, None))
        return stream if reference is not None and reference() is tensor else None

    def mark_alike(self, tensor: Tensor, other: Tensor) -> None:
        """Note that a tensor belongs to the input that another one was marked with, if it was."""
        stream = self._mark_of(other)
        if stream is not None:
            self.mark(tensor, stream)

    def has(self, stream: str) -> bool:
        """Tell whether an input has a mask."""
        return stream in self._counted

    def rows(self, inputs: Tensor) -> Tensor | None:
        """Return which rows count.

        Args:
            inputs: [items, tokens, …, inputs], or with items and tokens flattened or exchanged. If there are as many
                items as tokens, items are taken to come first.

        Returns:
            A mask in the shape of the leading dimensions, on the device of the inputs. None where all rows count: what
            has no dimension of tokens, such as pooled states, or the rows that a router gathered for an expert.
        """
        for stream in self._candidates(inputs):
            mask = _fitting(self._counted[stream], inputs.shape[:-1]) if stream in self._counted else None
            if mask is not None:
                return mask.to(inputs.device)
        return None

    def _candidates(self, inputs: Tensor) -> Iterator[str]:
        stream = self._mark_of(inputs) or self.stream
        if stream is not None:
            yield stream
        else:
            yield from dict.fromkeys([*([self.last] if self.last else []), *self._counted])


def _fitting(mask: Tensor, leading: Sequence[int]) -> Tensor | None:
    """Return a mask in the shape of an input's leading dimensions; None where it does not fit."""
    items, tokens = mask.shape
    if tuple(leading) == (items * tokens,):
        return mask.reshape(-1)
    for way in (mask, mask.T):
        if tuple(leading[:2]) == tuple(way.shape):
            return way.reshape(*way.shape, *(1,) * (len(leading) - 2)).expand(*leading)
    return None
