"""An extraction's outcome: what the adapter holds, what it does not, how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

from ...checkpoints.header import TensorInfo
from ..low_rank.collecting import Kept
from .choosing import Chosen
from .difference import Difference
from .module import Module, Scheme
from .network import Network
from .request import Extraction, Selection
from .running import Measured
from .whole import SavedWhole, saved_whole


@dataclass(frozen=True)
class Layer:
    """One layer with its factors."""

    module: Module
    kept: Kept


@dataclass(frozen=True)
class Extracted:
    """What became of every tensor.

    Attributes:
        extraction: The request.
        layers: Layers that differ, in the base's order.
        whole: What is saved as it is.
        left: Tensors that differ and are in no part of the adapter, with the reason and the norm of the difference.
        measured: What reading the weights told.
        holds_whole: Whether the adapter could hold tensors as they are.
        remarks: What the user should know of how PEFT treats the adapter.
    """

    extraction: Extraction
    layers: list[Layer]
    whole: SavedWhole
    left: Mapping[str, tuple[str, float | None]]
    measured: Measured
    holds_whole: bool
    remarks: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing for an adapter to hold."""
        return not (self.layers or self.whole.tensors)

    @property
    def energy(self) -> float | None:
        """Share of the energy of all layers' differences that their factors keep."""
        total = sum(layer.kept.norm**2 for layer in self.layers)
        return 1 - sum(layer.kept.error**2 for layer in self.layers) / total if total else None

    @property
    def left_norm(self) -> float:
        """Norm of the differences that are in no part of the adapter, of those that have one."""
        return sqrt(sum(norm**2 for _, norm in self.left.values() if norm is not None))

    @property
    def all_norm(self) -> float:
        """Norm of all that was found to differ and is not saved whole."""
        return sqrt(sum(layer.kept.norm**2 for layer in self.layers) + self.left_norm**2)


def settle(
    difference: Difference,
    chosen: Chosen,
    measured: Measured,
    extraction: Extraction,
    scheme: Scheme,
    network: Network,
) -> Extracted:
    """Decide, now that the differences are known, about everything that headers did not tell.

    Raises:
        MergeError: A tensor that is to be saved whole cannot be.
    """
    is_auto = Selection(extraction).is_auto
    matched = difference.matched()
    wanted = [
        name for name, tensor in chosen.whole.items() if name in measured.norms or _is_new(tensor, name, difference)
    ]
    if is_auto:
        wanted += [name for name in chosen.open if name in measured.norms]
    tuned: dict[str, TensorInfo] = {scheme.called(name): tensor for name, tensor in {**matched, **chosen.alone}.items()}
    tuned |= {scheme.called(name): chosen.whole[name] for name in chosen.whole}
    whole = saved_whole(
        [scheme.called(name) for name in wanted],
        tuned,
        {module.name for module in chosen.modules.values()},
        network.ties,
        extraction.tuned,
    )
    layers = [Layer(module, measured.kept[name]) for name, module in chosen.modules.items() if name in measured.kept]
    reasons = {**chosen.open, **chosen.left}
    return Extracted(
        extraction,
        layers,
        whole,
        {
            name: (reasons[name], measured.norms[name])
            for name in reasons
            if name in measured.norms and scheme.called(name) not in whole.tensors
        },
        measured,
        scheme.holds_whole,
        _remarks(layers, network),
    )


def _remarks(layers: list[Layer], network: Network) -> list[str]:
    """Return what the user should know of how PEFT treats the adapter."""
    remarks = []
    tied = [layer.module.name for layer in layers if network.ties.get(layer.module.name)]
    if tied:
        other = network.ties[tied[0]][0]
        what = f"the base ties '{tied[0]}' to '{other}', which PEFT leaves as it is until the adapter is merged"
        remarks.append(f"{what}: use merge_and_unload(), or --embeddings whole")
    joined = [layer.module.name for layer in layers if layer.module.tensor in network.joined]
    if joined:
        what = f"transformers holds {len(joined)} layers, such as '{joined[0]}', as one parameter with others"
        remarks.append(
            f"{what}, whose factors PEFT may load wrongly: merge passthrough BASE+ADAPTER bakes them rightly"
        )
    return remarks


def _is_new(tensor: TensorInfo, name: str, difference: Difference) -> bool:
    """Tell whether the base has nothing that a tensor could be compared with."""
    base = difference.base.tensors.get(name)
    return base is None or base.shape != tensor.shape
