"""One of the adapters that are joined: what it adds to which module, from headers alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...checkpoints.checkpoint import FileCheckpoint
from ...checkpoints.header import TensorInfo
from ...checkpoints.strength import FULL, Strength
from ..config import AdapterConfig
from ..differences import LowRank

_TEXT = ("lora_te", "text_encoder")


@dataclass(frozen=True)
class Addend:
    """What an adapter adds to the weight of one module: scaling times a product of factors.

    Attributes:
        factors: Left [outputs, rank …] and right [rank, inputs …], maybe with a core between them.
        scaling: Factor of their product, with the adapter's strength in it.
        shape: Of the weight to which it is added: [outputs, inputs …], or the other way around where it is stored so.
        is_embedding: Whether the module is an embedding.
        shift: What is added to the module's bias, times the scaling, or None.
    """

    factors: LowRank
    scaling: float
    shape: tuple[int, ...]
    is_embedding: bool = False
    shift: TensorInfo | None = None

    @property
    def rank(self) -> int:
        """Rank of the product."""
        return self.factors.left.shape[1]

    @property
    def kind(self) -> str:
        """What the module is: ``linear``, ``convolution`` or ``embedding``."""
        return "embedding" if self.is_embedding else "convolution" if len(self.shape) > 2 else "linear"

    @property
    def is_transposed(self) -> bool:
        """Whether the weight is stored as [inputs, outputs]."""
        return self.factors.transposed


@dataclass(frozen=True)
class Member:
    """An open adapter.

    Attributes:
        location: What the user wrote.
        weights: Its tensors; to be closed.
        config: What it says of itself; empty for a single file.
        addends: By module.
        whole: By name in the model, tensors that were trained whole.
        tokens: By module, rows of an embedding that were trained.
        is_single_file: Whether it is one file in the form of kohya's trainer, and no folder of PEFT.
        family: The family of diffusion models that it is for, where that is known.
        origin: What names it for good, where it lies elsewhere.
    """

    location: str
    weights: FileCheckpoint
    config: AdapterConfig
    addends: Mapping[str, Addend]
    whole: Mapping[str, TensorInfo] = field(default_factory=dict)
    tokens: Mapping[str, TensorInfo] = field(default_factory=dict)
    is_single_file: bool = False
    family: str | None = None
    origin: str | None = None

    @property
    def base_name(self) -> str | None:
        """The base that it was trained on, as it says."""
        name = self.config.values.get("base_model_name_or_path")
        return str(name) if name else None


def strength_of(module: str, strength: Strength = FULL) -> float:
    """Return how much of a module's product is taken."""
    return strength.text if module.startswith(_TEXT) else strength.model
