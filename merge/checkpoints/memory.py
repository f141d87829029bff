"""A state dict in memory, read like a file. Torch tensors and numpy arrays alike; nothing is copied up front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..dtypes import DTYPES
from ..errors import UsageError
from .checkpoint import FileIdentity
from .files import Buffer
from .header import TensorInfo

_CODES = {dtype.array: code for code, dtype in DTYPES.items() if dtype.array}
_CODES |= {dtype.torch: code for code, dtype in DTYPES.items() if dtype.torch}


class MemoryCheckpoint:
    """A mapping from name to array as a source of tensors."""

    def __init__(self, location: str, state: Mapping[str, Any]) -> None:
        self.location = location
        self.notes: list[str] = []
        self.metadata: Mapping[str, str] = {}
        self.config: Mapping[str, Any] = {}
        self.identities: list[FileIdentity] = []
        self._bytes: dict[str, Buffer] = {}
        self.tensors: Mapping[str, TensorInfo] = {
            name: self._add(number, name, array) for number, (name, array) in enumerate(state.items())
        }

    def _add(self, number: int, name: str, array: Any) -> TensorInfo:
        _refuse_odd(name, array, self.location)
        code = _CODES.get(str(getattr(array, "dtype", None)).removeprefix("torch."))
        if code is None:
            raise UsageError(f"'{name}' is no tensor of a type that safetensors knows", where=self.location)
        self._bytes[name] = as_bytes(array)
        return TensorInfo(name, code, tuple(array.shape), number, 0, len(self._bytes[name]))

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Copy a range of the tensor's bytes."""
        buffer[:] = self._bytes[tensor.name][offset : offset + len(buffer)]

    def check_unchanged(self) -> None:
        """Memory is the caller's; there is nothing to compare with."""

    def close(self) -> None:
        """Nothing is held open."""


def _refuse_odd(name: object, array: Any, where: str) -> None:
    """Refuse keys that are no names, and tensors whose entries do not lie one after the other."""
    if not isinstance(name, str):
        raise UsageError(f"the key {name!r} is no text", where=where, hint="tensors go by their names")
    if getattr(array, "is_meta", False):
        raise UsageError(f"'{name}' is a meta tensor, which has no values", where=where, hint="load the weights first")
    if str(getattr(array, "layout", "torch.strided")) != "torch.strided":
        raise UsageError(f"'{name}' is a sparse tensor", where=where, hint="call to_dense() first")


def as_bytes(array: Any) -> Buffer:
    """Return the bytes of a torch tensor or numpy array, without a copy where it is contiguous on the CPU."""
    import numpy

    if hasattr(array, "detach"):
        import torch

        flat = array.detach().cpu().contiguous().reshape(-1)
        if flat.stride(0) != 1:  # a single entry counts as contiguous whatever its stride
            flat = flat.clone(memory_format=torch.contiguous_format)
        array = flat.view(torch.uint8).numpy() if flat.numel() else numpy.empty(0, "u1")
    return numpy.ascontiguousarray(array).reshape(-1).view("u1").data if array.size else memoryview(b"")
