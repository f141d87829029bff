"""What happens to a tensor because of what it is. The one place where names and types decide that."""

from __future__ import annotations

from typing import Literal

from ..checkpoints.checkpoint import Source
from ..checkpoints.components.part import SAFETY_CHECKER
from ..checkpoints.components.quantised import stating
from ..checkpoints.header import TensorInfo
from ..checkpoints.quantised import refuse_packed
from ..checkpoints.scaled import scaled_below
from ..checkpoints.scaled_layout import find_scaled, is_marker
from ..diffusion.buffers import BUFFERS
from ..dtypes import DTYPES

Treatment = Literal["merge", "average", "copy"]

_CHECKER = f"{SAFETY_CHECKER}."
# BatchNorm's statistics are no parameters: a task vector of them means nothing, so they are averaged.
_RUNNING_STATISTICS = ("running_mean", "running_var")
# Floating buffers that are constants of the architecture. Some hold -inf, so arithmetic would spoil them.
_CONSTANTS = (
    "attn_mask",
    "attention_mask",
    "causal_mask",
    "masked_bias",
    "attn.bias",
    "rotary_emb.inv_freq",
    "position_ids",
)


def treatment(name: str, dtype: str, shape: tuple[int, ...]) -> tuple[Treatment, str]:
    """Return what happens to a tensor and why, from the reference's name, type and shape."""
    kind = DTYPES[dtype].kind
    if kind != "float":
        return "copy", f"{'no arithmetic on' if kind == 'opaque' else kind} {dtype}"
    if is_of_checker(name):
        return "copy", "it is no part of what the model can do"
    if is_marker(name):
        return "copy", "marks weights with scales"
    if name.endswith(_RUNNING_STATISTICS):
        return "average", "BatchNorm statistics"
    if (name.endswith(_CONSTANTS) and not (name.endswith("attn.bias") and len(shape) < 2)) or name in BUFFERS:
        return "copy", "constant buffer"
    return "merge", ""


def is_of_checker(name: str) -> bool:
    """Tell whether a tensor is one of a pipeline's safety checker, which stays as the output's model has it, or not."""
    return name.startswith(_CHECKER)


def is_buffer(tensor: TensorInfo) -> bool:
    """Tell whether a tensor is copied, as a buffer that one version of a library saves and another does not."""
    return treatment(tensor.name, tensor.dtype, tensor.shape)[0] == "copy"


def is_constant(name: str) -> bool:
    """Tell whether a tensor may rightly hold infinities: an attention mask."""
    return name.endswith(_CONSTANTS)


def refuse_quantised(source: Source) -> None:
    """Refuse packed weights, on which arithmetic would give noise; 8-bit floats with scales are read as plain ones.

    Raises:
        MergeError: Naming the scheme and the first such tensor.
    """
    find_scaled(source)  # says what is wrong with scales that could be applied otherwise
    for part in stating(source) if scaled_below(source) is None else ():
        refuse_packed(part.source)
    refuse_packed(source)
