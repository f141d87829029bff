"""Which tensors are matrices that a LoRA can hold: of linear layers, convolutions and embeddings.

Names and shapes tell nearly always. Where transformers knows the architecture, what it builds is asked too (`network`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from ...checkpoints.header import TensorInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["linear", "transposed", "convolution", "embedding"]
WEIGHT = ".weight"
_EMBEDDINGS = re.compile(
    r"(^|\.)(embed_tokens|wte|wpe|shared|tok_embeddings|embed_in|embeddings?|\w+_embeddings?|relative_attention_bias)$"
)
_CONV1D = re.compile(r"(^|\.)(c_attn|c_proj|c_fc|q_attn)$")  # layers of GPT-2 that are stored as [inputs, outputs]
_VOCABULARY = re.compile(r"(^|\.)(embed_tokens|wte|shared|tok_embeddings|embed_in|word_embeddings?|token_embeddings?)$")
_HEADS = re.compile(r"(^|\.)(lm_head|embed_out|predictions\.decoder)$|^output$")


def is_of_vocabulary(module: str) -> bool:
    """Tell by its name whether a module has one row for every token: an embedding, or the output matrix."""
    return bool(_VOCABULARY.search(module) or _HEADS.search(module))


def is_head(module: str) -> bool:
    """Tell by its name whether a module gives the scores of tokens."""
    return bool(_HEADS.search(module))


class Kinds:
    """What the tensors of a model are, from their names and shapes.

    Args:
        tensors: The model's.
    """

    def __init__(self, tensors: Mapping[str, TensorInfo]) -> None:
        self._tensors = tensors
        self._has_conv1d = any(self._is_conv1d(name) for name in tensors if name.endswith(WEIGHT))

    def _is_conv1d(self, name: str) -> bool:
        """Tell whether the bias of a layer shows that it is stored as [inputs, outputs]."""
        module, shape = name.removesuffix(WEIGHT), self._tensors[name].shape
        bias = self._tensors.get(f"{module}.bias")
        if len(shape) != 2 or bias is None or not _CONV1D.search(module):
            return False
        return shape[0] != shape[1] and bias.shape == (shape[1],)

    def of(self, name: str) -> Kind | None:
        """Return what a tensor is, or None where it is no matrix of a layer."""
        shape, module = self._tensors[name].shape, name.removesuffix(WEIGHT)
        if not name.endswith(WEIGHT) or len(shape) < 2 or not prod(shape):
            return None
        if len(shape) > 2:
            is_depthwise = shape[1] == 1 and shape[0] > 1  # or has one channel; factors would save nothing then
            return None if len(shape) > 5 or is_depthwise else "convolution"
        if _EMBEDDINGS.search(module):
            return "embedding"
        if not self._has_conv1d or not _CONV1D.search(module):
            return "linear"
        return "transposed" if shape[0] == shape[1] or self._is_conv1d(name) else "linear"


def matrix_shape(kind: Kind, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return outputs and inputs of a weight."""
    if kind in {"transposed", "embedding"}:
        return shape[1], shape[0]
    return shape[0], prod(shape[1:])


def as_matrix(kind: Kind, weight: NDArray[Any]) -> NDArray[Any]:
    """Return a weight as a matrix [outputs, inputs]."""
    return weight.T if kind in {"transposed", "embedding"} else weight.reshape(weight.shape[0], -1)


def factor_shapes(kind: Kind, shape: tuple[int, ...], rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes in which PEFT stores the two factors."""
    outputs, inputs = matrix_shape(kind, shape)
    if kind != "convolution":
        return (rank, inputs), (outputs, rank)
    return (rank, *shape[1:]), (outputs, rank, *(1 for _ in shape[2:]))


def factor_names(kind: Kind) -> tuple[str, str]:
    """Return the ends of the names under which PEFT stores the two factors."""
    return ("lora_embedding_A", "lora_embedding_B") if kind == "embedding" else ("lora_A.weight", "lora_B.weight")
