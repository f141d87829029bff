"""The one file of an extracted adapter for a diffusion model: factors under kohya's names, each with its alpha."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable

from ...checkpoints.files import Buffer
from ..low_rank.spool import Spool
from ..low_rank.writing import Adapter, AdapterTensor
from .extracted import Extracted, Layer
from .kinds import factor_shapes
from .kohya_scheme import ARCHITECTURES, VERSIONS, KohyaScheme
from .making import metadata, spooled


def make_file(extracted: Extracted, scheme: KohyaScheme, spool: Spool, card: Callable[[str], str]) -> Adapter:
    """Return what is written of an extraction.

    Args:
        extracted: The extraction's outcome.
        scheme: How the base's layers are called.
        spool: Holds the factors.
        card: Makes the card from the adapter's content id.
    """
    dtype = extracted.extraction.dtype
    tensors = [tensor for layer in extracted.layers for tensor in _factors(layer, spool, dtype)]
    own = _metadata(extracted, scheme)
    return Adapter(tensors, lambda identity: own | metadata(extracted, identity), card)


def _factors(layer: Layer, spool: Spool, dtype: str) -> list[AdapterTensor]:
    name, kept = layer.module.name, layer.kept
    down, up = factor_shapes(layer.module.kind, layer.module.shape, kept.rank)
    return [
        AdapterTensor(f"{name}.lora_down.weight", dtype, down, spooled(spool, kept.a)),
        AdapterTensor(f"{name}.lora_up.weight", dtype, up, spooled(spool, kept.b)),
        AdapterTensor(f"{name}.alpha", "F32", (), _number(float(kept.rank))),
    ]


def _number(value: float) -> Callable[[int, Buffer], None]:
    raw = struct.pack("<f", value)

    def read(offset: int, buffer: Buffer) -> None:
        buffer[:] = raw[offset : offset + len(buffer)]

    return read


def _metadata(extracted: Extracted, scheme: KohyaScheme) -> dict[str, str]:
    """Return what user interfaces look for: the kind of adapter, its rank, the family of its base."""
    family = scheme.family.name
    usual = Counter(layer.kept.rank for layer in extracted.layers).most_common(1)[0][0]
    rank = str(usual) if len({layer.kept.rank for layer in extracted.layers}) == 1 else "Dynamic"
    return {
        "ss_network_module": "networks.lora",
        "ss_network_dim": rank,
        "ss_network_alpha": rank,
        "ss_base_model_version": VERSIONS[family],
        "modelspec.architecture": f"{ARCHITECTURES[family]}/lora",
    }
