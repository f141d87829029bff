"""A model under evaluation: its tensors in memory, and where its configuration lies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from .networks.wide import is_wide, mark_wide

if TYPE_CHECKING:
    from torch import Tensor

    from ..checkpoints.checkpoint import Source


@dataclass(frozen=True)
class Candidate:
    """A model ready to be built.

    Attributes:
        name: As the user gave it.
        tensors: Every tensor of the checkpoint by name; not to be changed.
        folder: Where ``config.json`` and the tokenizer lie, or None for a bare file.
        identity: Content id, the same that merges record.
        model: Its architecture, where what it belongs to says that; ``--model`` goes first.
        data_use: Which data its weights were found with, as its merge recorded: ``none``, ``held-out`` …
        is_wide: Whether it is wider than its architecture says, as a merge recorded.
    """

    name: str
    tensors: Mapping[str, Tensor]
    folder: Path | None
    identity: str
    data_use: str = "none"
    model: str | None = None
    is_wide: bool = False

    def __post_init__(self) -> None:
        if self.is_wide:
            mark_wide(self.tensors.values())


def read_candidate(source: Source, name: str) -> Candidate:
    """Read every tensor of an open checkpoint once, and identify the whole by what was read.

    Raises:
        MergeError: It cannot be read.
        UsageError: Torch lacks one of its types.
    """
    tensors = {info.name: read_tensor(source, info) for info in source.tensors.values()}
    identity = identify(tensors, source.tensors.values())
    folder, used = getattr(source, "folder", None), recorded_data_use(source)
    return Candidate(name, tensors, folder, identity, used, is_wide=is_wide(source.metadata))


def recorded_data_use(source: Source) -> str:
    """Return which data a merge consumed, as it recorded in its metadata; ``none`` for what no merge wrote."""
    from ..data_use import NO_DATA
    from ..provenance import DATA_USE_KEY

    return source.metadata.get(DATA_USE_KEY, NO_DATA)


def identify(tensors: Mapping[str, Tensor], described: Iterable[Any]) -> str:
    """Return the content id of tensors in memory.

    Args:
        tensors: On the CPU, contiguous.
        described: Name, type and shape of each, as a checkpoint's header has them.
    """
    from ..content_id import BLOCK_BYTES, checkpoint_id, digest, tensor_digest

    described = list(described)
    digests = {}
    for info in described:
        raw = _raw(tensors[info.name])
        digests[info.name] = tensor_digest(
            [digest(raw[start : start + BLOCK_BYTES]) for start in range(0, len(raw), BLOCK_BYTES)]
        )
    return checkpoint_id(described, digests)


def read_tensor(source: Source, info: Any) -> Tensor:
    """Read one tensor. Raises UsageError when torch lacks its type, MergeError when it cannot be read."""
    import torch

    from ..dtypes import DTYPES, torch_dtype

    if DTYPES[info.dtype].torch is None:
        raise UsageError(f"torch has no type for '{info.name}' ({info.dtype})", where=source.location)
    tensor = torch.empty(info.shape, dtype=torch_dtype(info.dtype))
    if info.nbytes:
        source.read_into(info, 0, _raw(tensor))
    return tensor


def _raw(tensor: Tensor) -> memoryview:
    """Return the bytes of a contiguous tensor on the CPU, without a copy."""
    import torch

    return tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else memoryview(b"")
