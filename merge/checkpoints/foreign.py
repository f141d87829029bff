"""Weights in files of other programs: what they are, why they are not read, and how to get to a file that is.

They are known by their first bytes under any name, and where those say nothing, by how their names end.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import MergeError


class Foreign(NamedTuple):
    """A kind of file.

    Attributes:
        what: What it is.
        way: How to get to one that is read; ``{}`` stands for its location.
    """

    what: str
    way: str


_GGUF = Foreign(
    "a GGUF file: weights for llama.cpp, quantised or packed, under other names and often in another order",
    "merge the checkpoint that it was made from and convert the outcome with llama.cpp's convert_hf_to_gguf.py; where "
    "only this file is left: AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=FILE).save_pretrained(OUT)",
)
_GGML = Foreign(
    "a GGML file: quantised or packed weights for an old llama.cpp or whisper.cpp",
    "merge the checkpoint that it was made from and convert the outcome with the converter of that program",
)
_KERAS = Foreign(
    "an HDF5 file: weights of Keras or TensorFlow, whose axes have another order",
    "transformers up to version 4 reads it: AutoModel.from_pretrained(FOLDER, from_tf=True).save_pretrained(OUT)",
)
_FLAX = Foreign(
    "a msgpack file: weights of Flax, whose axes have another order",
    "transformers up to version 4 reads it: AutoModel.from_pretrained(FOLDER, from_flax=True).save_pretrained(OUT)",
)
_ONNX = Foreign(
    "an ONNX file: a graph with weights, which exporting may have folded, fused and renamed",
    "merge the checkpoint that it was exported from and export the outcome, as with optimum-cli export onnx",
)
_TENSORFLOW = Foreign(
    "a file of TensorFlow: a graph, or weights whose axes have another order",
    "transformers up to version 4 reads it: AutoModel.from_pretrained(FOLDER, from_tf=True).save_pretrained(OUT)",
)
_ZERO = Foreign(
    "a checkpoint of DeepSpeed ZeRO: every process saved its part of the weights",
    "join them first with the script that lies in it: python zero_to_fp32.py {} OUT --safe_serialization",
)
_SHARDED = Foreign(
    "a distributed checkpoint of torch (FSDP): every process saved its part of the weights",
    "join them first: python -m torch.distributed.checkpoint.format_utils dcp_to_torch {} OUT.pt",
)
_MEGATRON = Foreign(
    "a checkpoint of Megatron: every process saved its part of the weights",
    "convert it first to the format of transformers, with the converter of the program that wrote it",
)

_STARTS = {
    b"GGUF": _GGUF,
    b"lmgg": _GGML,
    b"fmgg": _GGML,
    b"tjgg": _GGML,
    b"algg": _GGML,
    b"\x89HDF": _KERAS,
}
_ENDS = {
    ".gguf": _GGUF,
    ".h5": _KERAS,
    ".hdf5": _KERAS,
    ".keras": _KERAS,
    ".msgpack": _FLAX,
    ".onnx": _ONNX,
    ".onnx_data": _ONNX,
    ".pb": _TENSORFLOW,
    ".tflite": _TENSORFLOW,
    ".ckpt.index": _TENSORFLOW,
    ".distcp": _SHARDED,
}


def foreign_start(start: bytes) -> Foreign | None:
    """Return what a file is by its first bytes, where they tell."""
    return next((kind for magic, kind in _STARTS.items() if start.startswith(magic)), None)


def foreign_name(name: str) -> Foreign | None:
    """Return what a file is by how its name ends, where that tells."""
    return next((kind for end, kind in _ENDS.items() if name.lower().endswith(end)), None)


def refusal(kind: Foreign, where: str, location: str = "") -> MergeError:
    """Return the refusal of a file or folder.

    Args:
        kind: What it is.
        where: The file, for the message.
        location: What the way out names; the file itself by default.
    """
    return MergeError(f"this is {kind.what}", where=where, hint=kind.way.replace("{}", location or where))


def refuse_names(names: Iterable[str], where: str) -> None:
    """Refuse a place that has only files of other programs.

    Raises:
        MergeError: Naming the first of them.
    """
    for name in sorted(names):
        kind = foreign_name(name)
        if kind is not None:
            raise refusal(kind, where) if kind is _SHARDED else refusal(kind, f"{where.rstrip('/')}/{name}")


def refuse_folder(location: str, path: Path) -> None:
    """Refuse a folder without weights that are read, and with others.

    Raises:
        MergeError: Saying what is there.
    """
    entries = {entry.name: entry for entry in path.iterdir()}
    inside = {name: [below.name for below in entry.iterdir()] for name, entry in entries.items() if entry.is_dir()}
    every = [*entries, *(name for names in inside.values() for name in names)]
    if "zero_to_fp32.py" in entries or any("zero_pp_rank_" in name for name in every):
        raise refusal(_ZERO, location, str(path))
    found = next((folder for folder, names in inside.items() if any(name.endswith(".distcp") for name in names)), None)
    if found is not None:
        raise refusal(_SHARDED, f"{location}/{found}", str(path / found))
    if any(name.startswith("mp_rank_") for name in every):
        raise refusal(_MEGATRON, location)
    refuse_names([name for name, entry in entries.items() if entry.is_file()], location)
    for name, entry in sorted(entries.items()):
        kind = _kind_of(entry) if entry.is_file() else None
        if kind is not None:
            raise refusal(kind, f"{location.rstrip('/')}/{name}")


def _kind_of(path: Path) -> Foreign | None:
    try:
        with path.open("rb") as stream:
            return foreign_start(stream.read(8))
    except OSError:
        return None


def zero_refusal(where: str) -> MergeError:
    """Return the refusal of one file of a checkpoint of DeepSpeed ZeRO, which lies beneath the folder of the script."""
    return refusal(_ZERO, where, str(Path(where).parent.parent))


def sharded_refusal(where: str) -> MergeError:
    """Return the refusal of a file with tensors of which it has a part."""
    return refusal(_SHARDED, where, str(Path(where).parent))
