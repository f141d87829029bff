"""What pruning goes by: how many entries stay, groups of which some stay, and names of tensors that it leaves alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import UsageError

if TYPE_CHECKING:
    from ..method import Context
    from ..reduction import Array

# Tables of learned vectors, by the last two parts of a name: embed_tokens.weight, wte.weight, pos_embed, cls_token.
_EMBEDDING = re.compile(r"(?<![a-z])emb|embedding|\bwte\b|\bwpe\b|\bshared\b|token|position|relative_attention_bias")
_KERNEL_AXES = 4  # of a patch embedding, which is a convolution


@dataclass(frozen=True)
class Remaining:
    """How many entries stay, by the rounding of `torch.nn.utils.prune`; a rule for `Largest.counts`.

    Attributes:
        sparsity: Share of the entries that become 0.
    """

    sparsity: float

    def __call__(self, elements: int, results: object) -> list[list[int]]:
        """Return one count for the one model."""
        return [[elements - round(self.sparsity * elements)]]


def is_embedding(name: str, shape: Sequence[int]) -> bool:
    """Tell whether a tensor holds learned vectors that are looked up or added, by its name."""
    last = ".".join(name.lower().split(".")[-2:])
    return len(shape) < _KERNEL_AXES and _EMBEDDING.search(last) is not None


def read_pattern(pattern: str) -> tuple[int, int]:
    """Return how many entries of how many stay.

    Raises:
        UsageError: The text does not say that.
    """
    found = re.fullmatch(r"(\d{1,4}):(\d{1,4})", pattern)
    kept, group = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 0 < kept < group:
        raise UsageError(f"'{pattern}' is no pattern", hint="2:4 leaves 2 of every 4 entries")
    return kept, group


def pattern_mask(array: Array, pattern: str, context: Context) -> Array:
    """Return the mask of the largest entries of every group along the second axis, the first among equal ones.

    Args:
        array: [outputs, inputs, …], its inputs a multiple of the group.
        pattern: ``kept:group``.
        context: Of the array.
    """
    kept, group = read_pattern(pattern)
    turned = context.xp.moveaxis(array, 1, -1)
    mask = context.ranks(turned.reshape(-1, group)) >= group - kept
    return context.xp.moveaxis(mask.reshape(turned.shape), -1, 1)
