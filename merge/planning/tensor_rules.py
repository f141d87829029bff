"""What happens to a tensor because of what it is. The one place where names and types decide that."""

from __future__ import annotations

from typing import Literal

from ..checkpoints.checkpoint import Source
from ..checkpoints.header import TensorInfo
from ..checkpoints.scaled_layout import find_scaled, stated_quantisation
from ..dtypes import DTYPES
from ..errors import MergeError

Treatment = Literal["merge", "average", "copy"]

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
_PACKED = {
    ".qweight": "GPTQ or AWQ",
    ".qzeros": "GPTQ or AWQ",
    ".absmax": "bitsandbytes",
    ".quant_map": "bitsandbytes",
    ".SCB": "bitsandbytes",
    ".weight_scale_inv": "block-scaled 8-bit floats",
    ".weight_scale": "scaled 8-bit floats",
    ".weight_packed": "compressed-tensors",
}
_DEQUANTISE = "merge the unquantised checkpoints and quantise the result"


def treatment(name: str, dtype: str, shape: tuple[int, ...]) -> tuple[Treatment, str]:
    """Return what happens to a tensor and why, from the reference's name, type and shape."""
    kind = DTYPES[dtype].kind
    if kind != "float":
        return "copy", f"{'no arithmetic on' if kind == 'opaque' else kind} {dtype}"
    if name.endswith(_RUNNING_STATISTICS):
        return "average", "BatchNorm statistics"
    if name.endswith(_CONSTANTS) and not (name.endswith("attn.bias") and len(shape) < 2):
        return "copy", "constant buffer"
    return "merge", ""


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
    stated = stated_quantisation(source.config)
    if stated is not None:
        scheme = stated.get("quant_method", "an unnamed scheme")
        raise _quantised(source, f"its config.json states quantised weights ({scheme})")
    suffixes = tuple(_PACKED)
    for name in source.tensors:
        if name.endswith(suffixes):
            scheme = _PACKED[name[name.rfind(".") :]]
            raise _quantised(source, f"tensor '{name}' looks like packed weights ({scheme})")


def _quantised(source: Source, what: str) -> MergeError:
    return MergeError(what, where=source.location, hint=_DEQUANTISE)
