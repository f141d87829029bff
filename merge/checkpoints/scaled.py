"""A checkpoint of 8-bit floats with scales, whose weights become 16-bit floats while they are read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from .beside import AS_IT_IS, Beside
from .checkpoint import OUR_KEY, FileCheckpoint, Source
from .files import Buffer
from .header import TensorInfo
from .scaled_layout import Scaled, find_scaled, plain_config
from .scaled_values import ScaledValues

_HALF = ("float16", "half")


class ScaledCheckpoint(FileCheckpoint):
    """Another checkpoint with its scales applied; they are no tensors of it any more.

    Weights become bfloat16, or float16 where config.json says that the model is of this type.

    Attributes:
        source: The checkpoint beneath. It is closed with this one.
        changed: Names of the tensors that are not the source's own.

    Args:
        source: The checkpoint beneath.
        scaled: Its weights that have scales, by name.
    """

    def __init__(self, source: FileCheckpoint, scaled: Mapping[str, Scaled]) -> None:
        # Not of the class above, which would look for files here: the source's may lie elsewhere.
        self.source, self.changed = source, frozenset(scaled)
        self.location, self.files, self.origin = source.location, source.files, source.origin
        self.weights_name, self.identities = source.weights_name, source.identities
        self._scaled = dict(scaled)
        dtype = "F16" if _stated_type(source.config) in _HALF else "BF16"
        self.tensors = _plain(source.tensors, scaled, dtype)
        self._values = ScaledValues(dtype, source.read_into)
        kind = "float16" if dtype == "F16" else "bfloat16"
        weights = f"{len(scaled):,} weight{'s are' if len(scaled) > 1 else ' is'} of 8-bit floats with scales"
        self.notes = [*source.notes, f"{weights}, read as {kind}, which takes twice the room"]

    def __getattr__(self, name: str) -> Any:
        """Hand on what only a checkpoint elsewhere has: the files beside the weights one by one, and their hashes."""
        if name == "source":  # it is not there yet
            raise AttributeError(name)
        return getattr(self.source, name)

    @property
    def metadata(self) -> Mapping[str, str]:  # type: ignore[override]
        """The source's, without its content id: these are other tensors."""
        return {key: value for key, value in self.source.metadata.items() if key != OUR_KEY}

    @property
    def folder(self) -> Path | None:  # type: ignore[override]
        """The folder of the source, where it has one."""
        return self.source.folder

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The source's config.json, as it is of the tensors that this one has."""
        return plain_config(dict(self.source.config))

    def behind(self, tensor: TensorInfo) -> list[TensorInfo]:
        """Return what is read of the source for one tensor, in the order of its files."""
        found = self._scaled.get(tensor.name)
        return sorted((found.weight, found.scale), key=_place) if found else [tensor]

    def stored_bytes(self, tensor: TensorInfo) -> int:
        """Return the bytes that are read of the source for one tensor."""
        found = self._scaled.get(tensor.name)
        return found.weight.nbytes + found.scale.nbytes if found else tensor.nbytes

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        scaled = self._scaled.get(tensor.name)
        if scaled is None:
            self.source.read_into(tensor, offset, buffer)
        elif len(buffer):
            self._values.read_into(scaled, offset, buffer)

    def check_unchanged(self) -> None:
        """Refuse files that are no longer those that were opened."""
        self.source.check_unchanged()

    def close(self) -> None:
        """Close the source."""
        self.source.close()


def with_scales_applied(source: FileCheckpoint) -> FileCheckpoint:
    """Return a checkpoint with its scales applied; as it is where it has none, or some that planning will refuse."""
    from ..errors import MergeError

    try:
        scaled = find_scaled(source)
    except MergeError:
        return source
    return ScaledCheckpoint(source, scaled) if scaled else source


def beside_scaled(source: Source) -> Beside:
    """Return what changes in the files beside a source's weights when they are written without scales."""
    below: Source | None = source
    while below is not None:
        if isinstance(below, ScaledCheckpoint):
            return Beside({"config.json": (plain_config,)})
        below = getattr(below, "source", None)
    return AS_IT_IS


def _plain(tensors: Mapping[str, TensorInfo], scaled: Mapping[str, Scaled], dtype: str) -> dict[str, TensorInfo]:
    """Return the tensors without the scales; those that had one have a file number of their own, as no other range."""
    scales = {each.scale.name for each in scaled.values()}
    first = max((tensor.file for tensor in tensors.values()), default=-1) + 1
    numbers = {name: first + number for number, name in enumerate(scaled)}
    return {
        name: TensorInfo(name, dtype, tensor.shape, numbers[name], 0, 2 * tensor.nbytes) if name in numbers else tensor
        for name, tensor in tensors.items()
        if name not in scales
    }


def _stated_type(config: Mapping[str, Any]) -> str:
    """Return the type that a config.json states for the model, or else for the language model in it."""
    language = config.get("text_config")
    parts = (config, language if isinstance(language, Mapping) else {})
    stated = (part.get(key) for part in parts for key in ("dtype", "torch_dtype"))
    return str(next(filter(None, stated), "")).removeprefix("torch.")


def _place(tensor: TensorInfo) -> tuple[int, int]:
    return tensor.file, tensor.start
