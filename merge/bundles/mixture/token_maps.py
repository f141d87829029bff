"""Tokens of a mixture ▸ tokens of each expert, where their vocabularies were aligned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ...errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

ABSENT = -1


def runs_of(indices: Iterable[int]) -> list[list[int]]:
    """Return indices as [first, count] of consecutive ones, so that nearly equal vocabularies take little space.

    Args:
        indices: The expert's token of every token of the mixture; -1 where it has none.
    """
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == (ABSENT if runs[-1][0] == ABSENT else sum(runs[-1])):
            runs[-1][1] += 1
        else:
            runs.append([index, 1])
    return runs


def indices_of(runs: Iterable[Sequence[int]]) -> list[int]:
    """Return what ``runs_of`` was given."""
    return [index for first, count in runs for index in _run(first, count)]


def _run(first: int, count: int) -> Iterable[int]:
    return [ABSENT] * count if first == ABSENT else range(first, first + count)


class TokenMap:
    """One expert's view of the mixture's vocabulary.

    Args:
        indices: The expert's token of every token of the mixture; -1 where it has none.
        stand_in: What it reads in place of a token that it lacks; None: nothing will do.
        name: The expert, for messages.
    """

    def __init__(self, indices: Sequence[int], stand_in: int | None, name: str) -> None:
        import torch

        self._name, self._stand_in = name, stand_in
        self._indices = torch.tensor(indices)
        self._known = self._indices >= 0

    def to(self, device: object) -> TokenMap:
        """Bring the tables to a device; nothing happens when they are there."""
        self._indices, self._known = self._indices.to(device), self._known.to(device)  # type: ignore[call-overload]
        return self

    def read(self, tokens: Tensor, attended: Tensor | None) -> Tensor:
        """Return the expert's tokens for those of the mixture [n, length].

        Args:
            tokens: Of the mixture.
            attended: 0 for padding [n, length], which need not be known; None: there is none.

        Raises:
            MergeError: The expert lacks a token, and has none that stands for it.
        """
        found = self._indices[tokens]
        lacking = found == ABSENT
        if self._stand_in is None and (lacking if attended is None else lacking & (attended != 0)).any():
            token = int(tokens[lacking][0])
            hint = "only tokens that all experts have can be read"
            raise MergeError(f"the expert has no token for token {token} of the mixture", where=self._name, hint=hint)
        return found.masked_fill(lacking, self._stand_in or 0)

    def write(self, logits: Tensor) -> Tensor:
        """Return logits over the mixture's tokens, -inf for those that the expert lacks.

        Args:
            logits: Over the expert's tokens [..., tokens].
        """
        found = logits[..., self._indices.clamp(min=0)]
        return found.masked_fill(~self._known, -float("inf"))
