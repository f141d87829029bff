"""The models that are merged, read block by block."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...checkpoints.checkpoint import Source
from ...errors import MergeError, UsageError
from ...planning.blocks import layer_of
from ...planning.names import Matched, match_names

if TYPE_CHECKING:
    from torch import Tensor

HINT = "the models must be of one architecture"
IN_BLOCK = 1  # as `layer_of` has it


class Candidates:
    """Open checkpoints, whose tensors are known by the names of the network's own checkpoint.

    Args:
        sources: The models.
        reference: The checkpoint that the network was built from.
        weights: How much each model counts, in sums of tensors as in those of Gram matrices.
    """

    def __init__(self, sources: Sequence[Source], reference: Source, weights: Sequence[float]) -> None:
        self._sources = sources
        self._matched: list[Matched] = [match_names(reference, source) for source in sources]
        self.weights = weights

    def __len__(self) -> int:
        return len(self._sources)

    def check(self, places: Mapping[str, Tensor]) -> None:
        """Refuse models that lack a tensor of the network, have it in another shape, or have more blocks.

        Raises:
            MergeError: Naming model and tensor.
        """
        for source, matched in zip(self._sources, self._matched, strict=True):
            more = next((name for name in matched.extra if layer_of(name)[0] == IN_BLOCK), None)
            if more is not None:
                raise MergeError(
                    f"has '{more}' in a block, which the other models lack", where=source.location, hint=HINT
                )
            for name, place in places.items():
                info = matched.tensors.get(name)
                if info is None:
                    raise MergeError(f"has no tensor '{name}', which others have", where=source.location, hint=HINT)
                if info.shape != tuple(place.shape):
                    what = f"'{name}' has the shape {list(info.shape)}, in others {list(place.shape)}"
                    raise MergeError(what, where=source.location, hint=HINT)

    def name(self, model: int, name: str) -> str:
        """Return what a model calls a tensor."""
        return self._matched[model].tensors[name].name

    def location(self, model: int) -> str:
        """Return what the user calls a model."""
        return self._sources[model].location

    def read(self, model: int, names: Iterable[str]) -> dict[str, Tensor]:
        """Read tensors of one model, in the type in which they are stored.

        Raises:
            MergeError: They cannot be read.
        """
        return {name: self._read(model, name) for name in names}

    def _read(self, model: int, name: str) -> Tensor:
        from ...evaluation.candidate import read_tensor

        return read_tensor(self._sources[model], self._matched[model].tensors[name])

    def average(self, name: str) -> Tensor:
        """Return the models' weighted sum of a tensor, in float64, with one model's tensor in memory at a time."""
        return weighted_sum((self._read(model, name) for model in range(len(self))), self.weights)

    def identity(self, model: int) -> str:
        """Return a model's content id. Reads all of it once."""
        from ...content_id import checkpoint_id, tensor_digests

        source = self._sources[model]
        tensors = source.tensors.values()
        return checkpoint_id(tensors, tensor_digests(tensors, source.read_into))


def weighted_sum(tensors: Iterable[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the weighted sum of tensors, in float64; weights of an average have the sum 1."""
    import torch

    terms = (tensor.double() * weight for tensor, weight in zip(tensors, weights, strict=True))
    return functools.reduce(torch.add, terms)


@contextmanager
def opened(models: Sequence[str | Source]) -> Iterator[list[Source]]:
    """Open checkpoints by name; those that are open already are left open.

    Raises:
        UsageError: One is a recipe, which has no tensors before it is merged.
        MergeError: One is no sound checkpoint.
    """
    own: list[Source] = []
    try:
        found: list[Source] = []
        for model in models:
            found.append(_open(model) if isinstance(model, str) else model)
            own += found[-1:] if isinstance(model, str) else []
        yield found
    finally:
        for source in own:
            source.close()


def _open(name: str) -> Source:
    from ...checkpoints.resolve import open_checkpoint
    from ...evaluation.locate import CheckpointLocation, locate

    location = locate(name)
    if not isinstance(location, CheckpointLocation):
        raise UsageError("a recipe has no blocks to read", where=name, hint="write its model first: merge run")
    return open_checkpoint(location.path)


def write(places: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Write tensors into the network."""
    import torch

    with torch.no_grad():
        for name, tensor in tensors.items():
            places[name].copy_(tensor)
