"""What transformers of all families have in common: one residual stream, heads, and a feed-forward layer per block."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .attention import Attention, add_attention
from .draft import Draft, with_prefix

NO_READER = "the residual stream is what the model gives out: no classifier or projection reads it"


class Tower(NamedTuple):
    """One transformer among a checkpoint's tensors.

    Attributes:
        prefix: What stands before the names of `stream`, `mlp` and `follows_mlp`.
        stream: Axes of the residual stream.
        readers: Axes of what reads the stream at its end, with full names; without any, the stream must stay.
        attention: The attention of block ``{i}``, with full names.
        mlp: Axes of the hidden units of block ``{i}``'s feed-forward layer.
        read: Whether the stream is read by something that is not in the checkpoint, such as tied embeddings.
        label: What the groups' names begin with: ``vision.``.
    """

    prefix: str
    stream: Iterable[str]
    readers: Iterable[str]
    attention: Attention
    mlp: Iterable[str]
    read: bool = False
    label: str = ""


def add_tower(draft: Draft, tower: Tower, names: Iterable[str]) -> None:
    """Add the groups of a transformer.

    Args:
        draft: The template's draft.
        tower: The transformer.
        names: Of all tensors of the checkpoint.
    """
    readers = list(tower.readers)
    stream = [*with_prefix(tower.prefix, tower.stream), *readers]
    present = {text.partition(":")[0] for text in readers} & set(names)
    if tower.read or present:
        draft.group(f"{tower.label}residual", stream, kind="residual")
    else:
        draft.stays(NO_READER, stream)
        draft.notes.append(f"{tower.label}residual stays as it is: {NO_READER}")
    add_attention(draft, tower.attention, tower.label)
    draft.group(f"{tower.label}mlp.{{i}}", with_prefix(tower.prefix, tower.mlp), kind="mlp")
