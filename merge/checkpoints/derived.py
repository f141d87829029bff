"""Sources that are made from others: which of their tensors are just those of the source beneath."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from .checkpoint import FileCheckpoint, Source

TensorKey = tuple[int, str]  # position of a source, name of a tensor as the source has it


def beneath(source: Source, name: str) -> Source | None:
    """Return the source whose tensor this is, bit for bit and under its own name; None where it is the source's own."""
    changed: Collection[str] = getattr(source, "changed", ())
    below: Source | None = getattr(source, "source", None)
    return None if below is None or name in changed else below


def whole(source: Source) -> Source:
    """Return the checkpoint, as a user names it, that a source is made from or a part of; itself where it is one."""
    below: Source | None = getattr(source, "source", None)
    return source if below is None or isinstance(source, FileCheckpoint) else whole(below)


def same_tensors(read: Iterable[TensorKey], opened: Sequence[Source]) -> dict[TensorKey, TensorKey]:
    """Return the tensors that are read already because a source made from theirs passes them on, and as what.

    Args:
        read: What is read.
        opened: All sources.
    """
    positions = {id(source): number for number, source in enumerate(opened)}
    if not any(hasattr(source, "source") for source in opened):
        return {}
    found: dict[TensorKey, TensorKey] = {}
    for key in read:
        source = beneath(opened[key[0]], key[1])
        while source is not None:
            if id(source) in positions:
                found.setdefault((positions[id(source)], key[1]), key)
            source = beneath(source, key[1])
    return {key: origin for key, origin in found.items() if key != origin}
