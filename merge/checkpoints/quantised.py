"""Packed weights, on which arithmetic would give noise: which scheme it is, why it is not read, and the way out.

A scheme is known by what config.json states of it, or by the names and types of tensors that only it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..dtypes import DTYPES
from ..errors import MergeError
from .checkpoint import Source
from .header import TensorInfo
from .scaled_settings import stated_quantisation


class Scheme(NamedTuple):
    """A way to pack weights.

    Attributes:
        name: What people call it.
        why: What the weights are, so that they cannot be averaged.
        way: How to get to a model that is read.
    """

    name: str
    why: str
    way: str


_LOAD = "AutoModelForCausalLM.from_pretrained"
_ORIGINAL = "merge the checkpoints that these were quantised from (their cards name them), and quantise the outcome"
_GROUPS = "whole numbers of 2 to 8 bits, packed, whose groups have scales and zero points"

_SCHEMES = {
    "gptq": Scheme("GPTQ", _GROUPS, f"{_ORIGINAL} with GPTQModel"),
    "awq": Scheme("AWQ", _GROUPS, f"{_ORIGINAL} with llm-compressor or AutoAWQ"),
    "auto-round": Scheme("AutoRound", _GROUPS, f"{_ORIGINAL} with auto-round"),
    "bitsandbytes": Scheme(
        "bitsandbytes",
        "codes of 4 or 8 bits into a table, whose blocks have scales",
        f"{_LOAD}(MODEL).dequantize().save_pretrained(OUT) on a machine with bitsandbytes; "
        "better, merge the checkpoints that these were quantised from",
    ),
    "hqq": Scheme("HQQ", _GROUPS, f"{_ORIGINAL} with HqqConfig"),
    "eetq": Scheme("EETQ", "integers of 8 bits in the order of its kernels", f"{_ORIGINAL} with EetqConfig"),
    "aqlm": Scheme("AQLM", "sums of entries of learned codebooks", f"{_ORIGINAL} with AQLM"),
    "vptq": Scheme("VPTQ", "entries of learned codebooks", f"{_ORIGINAL} with VPTQ"),
    "spqr": Scheme("SpQR", "packed whole numbers and a sparse rest", f"{_ORIGINAL} with SpQR"),
    "higgs": Scheme(
        "HIGGS", "entries of a grid, after a rotation", f"{_LOAD}(MODEL).dequantize().save_pretrained(OUT)"
    ),
    "torchao": Scheme(
        "torchao",
        "tensors of classes of torchao, whose parts are packed numbers and scales",
        f"load it with {_LOAD}(MODEL), replace each weight by weight.dequantize(), and save it; "
        "better, merge the checkpoints that these were quantised from",
    ),
    "quanto": Scheme("quanto", "whole numbers with scales, or packed ones", f"{_ORIGINAL} with QuantoConfig"),
    "mxfp4": Scheme(
        "MXFP4",
        "floats of 4 bits, two a byte, whose blocks of 32 share a power of two",
        f"{_LOAD}(MODEL, dtype='bfloat16', quantization_config=Mxfp4Config(dequantize=True)).save_pretrained(OUT)",
    ),
    "nvfp4": Scheme(
        "NVFP4",
        "floats of 4 bits, two a byte, whose blocks of 16 have scales, and these another",
        f"{_ORIGINAL} with llm-compressor or ModelOpt",
    ),
    "mxfp8": Scheme(
        "MXFP8", "floats of 8 bits, whose blocks of 32 share a power of two", f"{_ORIGINAL} with the tool that did"
    ),
    "modelopt": Scheme("ModelOpt", "weights packed by NVIDIA's ModelOpt", f"{_ORIGINAL} with ModelOpt"),
    "compressed-tensors": Scheme(
        "compressed-tensors",
        "packed or whole numbers, or a mixture (only 8-bit floats with scales of tensors, rows or blocks are read)",
        f"{_LOAD}(MODEL, quantization_config=CompressedTensorsConfig(dequantize=True)).save_pretrained(OUT)",
    ),
    "bitnet": Scheme("BitNet", "weights of -1, 0 and 1, packed", "merge the bf16 checkpoints that it is released with"),
    "quark": Scheme("Quark", "weights packed by AMD's Quark", f"{_ORIGINAL} with Quark"),
    "fp_quant": Scheme("FP-Quant", "floats of 4 bits after a rotation", f"{_ORIGINAL} with FPQuantConfig"),
}
_SCHEMES |= {"auto_round": _SCHEMES["auto-round"], "intel/auto-round": _SCHEMES["auto-round"]}
_OTHER = Scheme("another scheme", "packed in a way that is not known here", f"{_ORIGINAL} with the tool that did")
_SCALED = Scheme(
    "scaled integers or floats",
    "numbers with scales in a way that is not known here (only 8-bit floats are read)",
    f"{_ORIGINAL} with the tool that did",
)
_ENDS = {  # of names of tensors
    ".qweight": "gptq",
    ".qzeros": "gptq",
    ".absmax": "bitsandbytes",
    ".quant_map": "bitsandbytes",
    ".SCB": "bitsandbytes",
    ".bitsandbytes__nf4": "bitsandbytes",
    ".bitsandbytes__fp4": "bitsandbytes",
    ".W_q": "hqq",
    ".codebooks": "aqlm",
    ".weight._data": "quanto",
    ":_data": "torchao",
    ":_weight_qdata": "torchao",
    ".weight_scales": "eetq",
    ".weight_scale_2": "nvfp4",
    ".weight_global_scale": "nvfp4",
    ".weight_packed": "compressed-tensors",
}
_SCALES = (".weight_scale_inv", ".weight_scale")


def refuse_packed(source: Source) -> None:
    """Refuse a checkpoint of packed weights.

    Raises:
        MergeError: Naming the scheme, what shows it, and the way out.
    """
    stated = stated_quantisation(source.config)
    if stated is not None:
        scheme, called = _stated(stated)
        raise _refusal(source, f"its config.json states quantised weights ({called})", scheme)
    found = next(_marked(source.tensors), None)
    if found is not None:
        name, scheme = found
        called = "GPTQ or AWQ" if scheme is _SCHEMES["gptq"] else scheme.name
        raise _refusal(source, f"tensor '{name}' looks like packed weights ({called})", scheme)


def _stated(stated: Mapping[str, Any]) -> tuple[Scheme, str]:
    """Return the scheme that a config.json states, and what it calls it."""
    method = str(stated.get("quant_method", "an unnamed scheme"))
    formats = f"{stated.get('format')} {stated.get('quant_algo')}".lower()
    if "nvfp4" in formats:
        return _SCHEMES["nvfp4"], method
    if method == "bitsandbytes":
        bits = "4 bit" if stated.get("load_in_4bit") else "8 bit" if stated.get("load_in_8bit") else ""
        return _SCHEMES[method], f"{method} {bits}".strip()
    return _SCHEMES.get(method, _OTHER), method


def _marked(tensors: Mapping[str, TensorInfo]) -> Iterator[tuple[str, Scheme]]:
    """Yield tensors that only packed weights have, and their scheme."""
    ends = tuple(_ENDS)
    for name, tensor in tensors.items():
        if name.endswith(ends) and _is_told(name, tensors):
            yield name, _SCHEMES[next(scheme for end, scheme in _ENDS.items() if name.endswith(end))]
        elif name.endswith("_blocks") and f"{name.removesuffix('_blocks')}_scales" in tensors and not _is_float(tensor):
            yield name, _SCHEMES["mxfp4"]
        elif name.endswith(_SCALES):
            yield name, _SCALED


def _is_told(name: str, tensors: Mapping[str, TensorInfo]) -> bool:
    """Tell whether a name is enough: models of other kinds have codebooks, but no codes beside them."""
    return not name.endswith(".codebooks") or f"{name.removesuffix('books')}s" in tensors


def _is_float(tensor: TensorInfo) -> bool:
    return DTYPES[tensor.dtype].kind == "float"


def _refusal(source: Source, what: str, scheme: Scheme) -> MergeError:
    return MergeError(f"{what}: {scheme.why}", where=source.location, hint=scheme.way)
