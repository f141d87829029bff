"""Layers as PEFT calls them: those of the network that transformers builds, or as their tensors are named."""

from __future__ import annotations

from collections.abc import Mapping

from ...checkpoints.header import TensorInfo
from .kinds import Kind, Kinds, is_of_vocabulary
from .module import Module
from .network import UNKNOWN, Network


class PeftScheme:
    """The layers of any model.

    Args:
        tensors: The base's.
        network: What the base is built as, where that is known.
    """

    holds_whole = True

    def __init__(self, tensors: Mapping[str, TensorInfo], network: Network = UNKNOWN) -> None:
        self._tensors, self._network, self._kinds = tensors, network, Kinds(tensors)

    def layers(self, name: str) -> list[Module]:
        """Return the layer whose weight a tensor is, if it is a matrix."""
        kind = self._kind(name)
        return [Module(self._module(name), name, kind, self._tensors[name].shape)] if kind is not None else []

    def called(self, name: str) -> str:
        """Return the network's name of a tensor."""
        return self._network.name(name)

    def in_vocabulary(self, name: str) -> bool:
        """Tell whether a tensor is an embedding, or gives the scores of tokens."""
        kind = self._kind(name)
        return kind is not None and (kind == "embedding" or is_of_vocabulary(self._module(name)))

    def why_not(self, name: str) -> str:
        """Return why a tensor gets no factors."""
        return "a vector" if len(self._tensors[name].shape) < 2 else "no layer that PEFT adapts"

    def _kind(self, name: str) -> Kind | None:
        return self._network.kind(name, self._kinds.of(name))

    def _module(self, name: str) -> str:
        return self._network.name(name).rpartition(".")[0]
