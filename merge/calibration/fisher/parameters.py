"""The parameters that have Fisher information, each once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...errors import MergeError

if TYPE_CHECKING:
    from torch import Tensor

    from ..subject import Subject


@dataclass(frozen=True)
class Parameters:
    """Trainable floating parameters of a network.

    Attributes:
        tensors: By the first name that each has in the checkpoint.
        aliases: That name by each further one: tied weights, whose gradient already sums all their uses.
        own: Name in the module by the first name in the checkpoint; only of those that are the module's.
    """

    tensors: dict[str, Tensor] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all of them."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def entries(self) -> int:
        """Number of their entries."""
        return sum(tensor.numel() for tensor in self.tensors.values())


def parameters_of(subject: Subject) -> Parameters:
    """Collect a network's parameters; buffers and what is frozen are none.

    Raises:
        MergeError: There are none.
    """
    import torch

    found = Parameters()
    modules = {id(parameter): name for name, parameter in subject.module.named_parameters()}
    first: dict[int, str] = {}
    for name, tensor in subject.places().items():
        if not (isinstance(tensor, torch.nn.Parameter) and tensor.requires_grad and tensor.is_floating_point()):
            continue
        known = first.setdefault(id(tensor), name)
        if known != name:
            found.aliases[name] = known
            continue
        found.tensors[name] = tensor
        if id(tensor) in modules:
            found.own[name] = modules[id(tensor)]
    if not found.tensors:
        raise MergeError("no tensor of the checkpoint is a trainable parameter of the network", where=subject.name)
    return found
