"""A layer that gets factors, and what decides which layers there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .kinds import Kind


@dataclass(frozen=True)
class Module:
    """A layer that gets factors.

    Attributes:
        name: As the adapter calls it.
        tensor: Name of its weight in the base.
        kind: What its weight is.
        shape: Shape of the weight.
        rows: Rows of the tensor that are the weight, first and last one excluded; None for all.
    """

    name: str
    tensor: str
    kind: Kind
    shape: tuple[int, ...]
    rows: tuple[int, int] | None = None


class Scheme(Protocol):
    """How adapters of one form call the layers of a base.

    Attributes:
        holds_whole: Whether such an adapter can hold tensors as they are.
    """

    holds_whole: bool

    def layers(self, name: str) -> list[Module]:
        """Return the layers whose weights a tensor of the base holds: one mostly, none where it is no matrix."""

    def called(self, name: str) -> str:
        """Return what the adapter calls a tensor that is saved as it is."""

    def in_vocabulary(self, name: str) -> bool:
        """Tell whether a tensor is an embedding of tokens, or gives their scores."""

    def why_not(self, name: str) -> str:
        """Return why a tensor gets no factors."""
