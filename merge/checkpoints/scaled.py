"""A checkpoint of 8-bit floats with scales, whose weights become 16-bit floats while they are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from ..dtypes import DTYPES
from .beside import AS_IT_IS, Beside
from .checkpoint import FileCheckpoint, Source
from .components.quantised import stating
from .derived import beneath
from .files import Buffer
from .header import TensorInfo
from .scaled_layout import Scaled, find_scaled
from .scaled_settings import plain_config, stated_quantisation
from .scaled_values import ScaledValues
from .wrapped import WrappedCheckpoint, in_place_of

_HALF = ("float16", "half")


class ScaledCheckpoint(WrappedCheckpoint):
    """Another checkpoint with its scales applied; they are no tensors of it any more.

    Weights become bfloat16, or float16 where config.json says that the model is of this type.

    Attributes:
        scaled: Its weights that have scales, by name.
        dtype: Format code of the type that they are read as.

    Args:
        source: The checkpoint beneath.
        scaled: Its weights that have scales, by name.
    """

    def __init__(self, source: FileCheckpoint, scaled: Mapping[str, Scaled]) -> None:
        self.scaled = dict(scaled)
        self.dtype = "F16" if _stated_type(source.config) in _HALF else "BF16"
        weights = f"{len(scaled):,} weight{'s are' if len(scaled) > 1 else ' is'} of 8-bit floats with scales"
        stored = {name: (each.weight, each.scale) for name, each in scaled.items()}
        note = f"{weights}, read as {DTYPES[self.dtype].torch}"
        super().__init__(source, _plain(source.tensors, scaled, self.dtype), stored, note)
        self._values = ScaledValues(self.dtype, source.read_into)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The source's config.json, as it is of the tensors that this one has."""
        return plain_config(dict(self.source.config))

    @property
    def scheme(self) -> str:
        """What tells checkpoints apart whose weights do not go into one."""
        return json.dumps(stated_quantisation(self.source.config), sort_keys=True, default=str)

    def read_into(self, tensor: TensorInfo, offset: int, buffer: Buffer) -> None:
        """Fill the buffer with the tensor's bytes from this byte offset within the tensor."""
        scaled = self.scaled.get(tensor.name)
        if scaled is None:
            self.source.read_into(tensor, offset, buffer)
        elif len(buffer):
            self._values.read_into(scaled, offset, buffer)

    def read_stored(self, tensor: TensorInfo, first: int, buffer: Buffer, codes: Buffer) -> None:
        """Fill one buffer with the values of entries and another with the 8-bit floats that they are stored as.

        Args:
            tensor: One that has scales.
            first: Of the entries.
            buffer: For two bytes of each entry.
            codes: For one byte of each.
        """
        self._values.read_into(self.scaled[tensor.name], 2 * first, buffer, codes)

    def stored_scales(self, tensor: TensorInfo) -> bytes:
        """Return the bytes of a tensor's scales."""
        return self._values.scales_of(self.scaled[tensor.name])


def with_scales_applied(source: FileCheckpoint) -> FileCheckpoint:
    """Return a checkpoint with its scales applied; as it is where it has none, or some that planning will refuse."""
    from ..errors import MergeError

    try:
        scaled = find_scaled(source)
    except MergeError:
        return source
    return ScaledCheckpoint(source, scaled) if scaled else source


def scaled_below(source: Source) -> ScaledCheckpoint | None:
    """Return the checkpoint with scales that a source is or is made from, if there is one."""
    below: Source | None = source
    while below is not None and not isinstance(below, ScaledCheckpoint):
        below = getattr(below, "source", None)
    return below


def stored_as(source: Source, tensor: TensorInfo) -> ScaledCheckpoint | None:
    """Return the checkpoint with scales whose tensor this is, bit for bit; None where it is none, or was changed."""
    below: Source | None = source
    while below is not None and not isinstance(below, ScaledCheckpoint):
        below = beneath(below, tensor.name)
    return below if below is not None and tensor.name in below.scaled else None


def as_stored(source: FileCheckpoint) -> FileCheckpoint:
    """Return a checkpoint with its scales as tensors of their own, as they are in its files."""
    return source.source if isinstance(source, ScaledCheckpoint) else source


def beside_scaled(source: Source) -> Beside:
    """Return what changes in the files beside a source's weights when they are written without scales."""
    if not scaled_below(source):
        return AS_IT_IS
    names = ["config.json", *(f"{part.folder}/config.json" for part in stating(source) if part.folder)]
    return Beside(dict.fromkeys(names, (plain_config,)))


def _plain(tensors: Mapping[str, TensorInfo], scaled: Mapping[str, Scaled], dtype: str) -> dict[str, TensorInfo]:
    """Return the tensors without the scales."""
    read = {name: tensors[name]._replace(dtype=dtype, nbytes=2 * tensors[name].nbytes) for name in scaled}
    return in_place_of(tensors, read, {each.scale.name for each in scaled.values()})


def _stated_type(config: Mapping[str, Any]) -> str:
    """Return the type that a config.json states for the model, or else for the language model in it."""
    language = config.get("text_config")
    parts = (config, language if isinstance(language, Mapping) else {})
    stated = (part.get(key) for part in parts for key in ("dtype", "torch_dtype"))
    return str(next(filter(None, stated), "")).removeprefix("torch.")
