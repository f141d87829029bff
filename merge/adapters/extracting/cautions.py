"""What a user should look at in an extraction: what is lost, what is capped, what is larger than it need be."""

from __future__ import annotations

from math import sqrt

from .extracted import Extracted, Layer
from .kinds import matrix_shape


def warnings_of(extracted: Extracted) -> list[str]:
    """Return what the user should look at: above all what differs and is not in the adapter."""
    return [*_lost(extracted), *_capped(extracted), *_too_large(extracted), *extracted.remarks]


def _lost(extracted: Extracted) -> list[str]:
    open_ = {name: found for name, found in extracted.left.items() if not found[0].startswith("left out by")}
    if not open_:
        return []
    first = next(iter(open_))
    norm = sqrt(sum(one**2 for _, one in open_.values() if one is not None))
    share = f", {norm / extracted.all_norm:.2%} of the whole difference's norm" if norm else ""
    count = "1 tensor differs" if len(open_) == 1 else f"{len(open_)} tensors differ"
    pronoun = "it" if len(open_) == 1 else "them"
    way = f"--whole auto saves {pronoun} whole" if extracted.holds_whole else f"of {pronoun} the adapter has nothing"
    return [f"{count} that factors cannot hold ('{first}'{share}): {way}"]


def _capped(extracted: Extracted) -> list[str]:
    """Say where a layer is too small for the rank that is asked for."""
    rank = extracted.extraction.truncation.rank or 0
    small = [layer for layer in extracted.layers if layer.kept.rank < rank]
    if not small:
        return []
    first, more = small[0], f" and {len(small) - 1} more" if len(small) > 1 else ""
    name, shape = first.module.name, list(first.module.shape)
    return [f"rank {rank} is more than '{name}' of shape {shape} has{more}: it gets {first.kept.rank}"]


def _too_large(extracted: Extracted) -> list[str]:
    """Say where factors hold more numbers than the weight that they stand for."""
    large = [layer.module.name for layer in extracted.layers if layer.kept.rank >= _even_rank(layer)]
    if not large:
        return []
    count = f"of '{large[0]}'" if len(large) == 1 else f"of {len(large)} layers ('{large[0]}' …)"
    way = "lower --rank" if extracted.extraction.truncation.rank else "lower --energy, or limit it by --max-rank"
    return [f"the factors {count} are no smaller than the weights: {way}"]


def _even_rank(layer: Layer) -> float:
    outputs, inputs = matrix_shape(layer.module.kind, layer.module.shape)
    return outputs * inputs / (outputs + inputs)
