"""Adapters in the place of models: their factors must not be averaged apart, since a mean of products is no product."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import islice

from ..checkpoints.checkpoint import Source
from ..errors import UsageError

_FACTOR = re.compile(
    r"(\.|^)(lora_A|lora_B|lora_embedding_[AB]|lora_down|lora_up|lora_mid|lora\.down|lora\.up|hada_[wt]\d|lokr_[wt]\d"
    r"|lora_magnitude_vector|dora_scale|trainable_tokens_delta)(\.|_[ab]|$)"
)
_SAMPLES = 64  # names that are looked at; a checkpoint without a factor among so many is no adapter


def is_adapter(names: Collection[str]) -> bool:
    """Tell whether names are those of an adapter, and not of a model, not even of one that has adapters in it."""
    step = max(1, len(names) // _SAMPLES)
    if not any(_FACTOR.search(name) for name in islice(names, 0, None, step)):
        return False
    factors = sum(_FACTOR.search(name) is not None for name in names)
    return 2 * factors >= len(names) - sum(name.endswith(".alpha") for name in names) and not any(
        ".base_layer." in name and not _FACTOR.search(name) for name in names
    )


def refuse_adapter(source: Source, where: str | None) -> None:
    """Refuse an adapter where the weights of a model are merged.

    Raises:
        UsageError: It holds factors of an adapter and nothing beside them.
    """
    if is_adapter(source.tensors):
        place = f"{where}: {source.location}" if where else source.location
        what = "this is an adapter: the average of its factors is not the average of what they do"
        hint = "merge adapters A B -o OUT makes one adapter of several; BASE+ADAPTER is the model with it baked in"
        raise UsageError(what, where=place, hint=hint)
