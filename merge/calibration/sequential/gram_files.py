"""Gram matrices of all models on their way into files: those of one block at a time are in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..gram_sums import Grams
from ..watch import OUT_IN

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class GramFile:
    """What becomes the statistics file of one model.

    Args:
        folder: Where matrices lie until the last block is done, one file for each part; removed by its owner.
        model: The model's number.
        called: What a model calls a tensor.
        dtype: Type in which matrices are stored.

    Attributes:
        aliases: As in `Facts`, like the following ones.
        layout: Of parameters that are not stored [outputs, inputs].
        rows: Of every matrix.
    """

    folder: Path
    model: int
    called: Callable[[int, str], str]
    dtype: str
    aliases: dict[str, str] = field(default_factory=dict)
    layout: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    _where: dict[str, Path] = field(default_factory=dict)
    _parts: int = 0

    def _name(self, name: str) -> str:
        return self.called(self.model, name)

    def add(self, grams: Grams) -> Grams:
        """Put the matrices of a part aside, and return them as the file will have them: rounded to its type.

        So a merge from the file gives the weights on which the blocks above were run.

        Raises:
            MergeError: The disk is full.
        """
        import torch

        stored = {name: gram.to("cpu", getattr(torch, self.dtype)) for name, gram in grams.means.items()}
        self._put({self._name(name): gram for name, gram in stored.items()})
        self.aliases |= {self._name(name): self._name(owner) for name, owner in grams.aliases.items()}
        self.layout |= {self._name(name): layout for name, layout in grams.layouts.items() if layout != OUT_IN}
        self.rows |= {self._name(name): rows for name, rows in grams.rows.items()}
        rounded = {name: gram.to(grams.means[name]) for name, gram in stored.items()}
        return grams._replace(means=rounded)

    def _put(self, tensors: Mapping[str, Tensor]) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        path = self.folder / f"{self.model}-{self._parts}"
        self._parts += 1
        try:
            save_file(dict(tensors), path)
        except (OSError, SafetensorError) as error:
            raise MergeError(f"cannot keep Gram matrices: {error}", where=str(self.folder)) from None
        self._where |= dict.fromkeys(tensors, path)

    def tensors(self) -> Mapping[str, Tensor]:
        """Return all matrices by the model's names, each read when it is asked for."""
        return _Lazy(self._where)


class _Lazy(Mapping[str, "Tensor"]):
    def __init__(self, where: Mapping[str, Path]) -> None:
        self._where = where

    def __getitem__(self, name: str) -> Tensor:
        from safetensors import safe_open

        with safe_open(self._where[name], "pt") as file:
            tensor: Any = file.get_tensor(name)
        found: Tensor = tensor
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)
