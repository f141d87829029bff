"""What transformers builds from a model's configuration: names as PEFT sees them, and the kinds of layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...checkpoints.checkpoint import FileCheckpoint, Source
from ..loaded_names import build_network, joined_when_loaded, loaded_names
from .kinds import Kind

# Models whose layers of these names PEFT refuses to adapt, since their kernels read the weights past the layers.
_STATE_SPACE = {"mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h"}
_READ_AS_PARAMETERS = ("out_proj", "conv1d")


@dataclass(frozen=True)
class Network:
    """A model as it is built.

    Attributes:
        names: Names in the network by those in the checkpoint, where they differ.
        kinds: What every layer is, by its name in the network; None for layers that PEFT does not adapt. Empty where
            the architecture is not known.
        ties: By name of a layer, the other layers that have the same weight.
        joined: Tensors of the checkpoint that are one parameter with others in the network: of experts.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, Kind | None] = field(default_factory=dict)
    ties: Mapping[str, Sequence[str]] = field(default_factory=dict)
    joined: Collection[str] = ()

    def name(self, tensor: str) -> str:
        """Return the network's name of a tensor of the checkpoint."""
        return self.names.get(tensor, tensor)

    def kind(self, tensor: str, otherwise: Kind | None) -> Kind | None:
        """Return what a tensor is, or what names tell where the network is not known."""
        module = self.name(tensor).rpartition(".")[0]
        return self.kinds[module] if module in self.kinds and otherwise is not None else otherwise


UNKNOWN = Network()


def network_of(base: Source) -> Network:
    """Return what transformers builds for a model; nothing where it does not know the architecture."""
    if not base.config.get("architectures") or not isinstance(base, FileCheckpoint):
        return UNKNOWN
    try:
        built = build_network(base.config)
        kinds, ties = _kinds(built), _ties(built)
    except Exception:  # a class of transformers refuses settings in many ways; the names alone tell then
        return UNKNOWN
    names = {stored: loaded for loaded, stored in loaded_names(base).items() if loaded != stored}
    return Network(names, kinds, ties, joined_when_loaded(base))


def _ties(network: Any) -> dict[str, list[str]]:
    """Return the layers that share their weight with others."""
    alike: dict[int, list[str]] = {}
    for name, module in network.named_modules():
        weight = getattr(module, "weight", None)
        if weight is not None:
            alike.setdefault(id(weight), []).append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    return {name: [other for other in names if other != name] for names in groups for name in names}


def _kinds(network: Any) -> dict[str, Kind | None]:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    found: dict[str, Kind | None] = {}
    is_state_space = getattr(network.config, "model_type", None) in _STATE_SPACE
    for name, module in network.named_modules():
        if not isinstance(getattr(module, "weight", None), nn.Parameter):
            continue
        kind: Kind | None = None
        if isinstance(module, nn.Linear):
            kind = "linear"
        elif isinstance(module, Conv1D):
            kind = "transposed"
        elif type(module) is nn.Embedding or (isinstance(module, nn.Embedding) and hasattr(module, "embed_scale")):
            kind = "embedding"
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d) and module.groups == 1:
            kind = "convolution"
        found[name] = kind if not (is_state_space and name.endswith(_READ_AS_PARAMETERS)) else None
    return found
