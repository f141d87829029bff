"""One model of a stack, and which of its tensors are layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..checkpoints.header import TensorInfo
from .depth import block_of

Tensors = Mapping[str, TensorInfo]
_SHARED = "relative_attention_bias"


class Part(NamedTuple):
    """One model of a stack.

    Attributes:
        tensors: Its tensors.
        config: Its config.json, which may say how many layers it has.
        range: The layers that are taken, as they were given.
        where: ``recipe.yaml:12:5``, for messages.
        called: What it is called in messages.
    """

    tensors: Tensors
    config: Mapping[str, Any]
    range: str
    where: str | None
    called: str


def layer_place(name: str) -> tuple[str, int] | None:
    """Return stack and number of the layer that a tensor belongs to; T5 keeps in the first what all layers use."""
    return None if _SHARED in name else block_of(name)


def numbered(prefix: str, number: int) -> str:
    """Return what the names of a layer's tensors begin with."""
    return f"{prefix}.{number}." if prefix else f"{number}."
