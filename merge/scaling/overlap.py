"""Items that candidates are selected by although they are learned from: their scores are too good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tasks import DataTask


def seen_items(taught: Sequence[DataTask], selecting: Sequence[DataTask]) -> int:
    """Return how many of the items that select are among those that teach, by what a network reads of them.

    Raises:
        MergeError: An item cannot be read.
    """
    known = {digest for task in taught for digest in _digests(task)}
    return sum(digest in known for task in selecting for digest in _digests(task))


def _digests(task: DataTask) -> Iterator[bytes]:
    """Yield a digest of every item, its label aside; one at a time, so that texts are not padded."""
    import xxhash

    for batch in task.items.batches(1):
        digest = xxhash.xxh3_128()
        for name, tensor in sorted(batch.inputs.items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        yield digest.digest()
