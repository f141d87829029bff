"""Keys and values of several experts as one cache of transformers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import transformers

from ...errors import MergeError

Cache: Any = transformers.Cache


class MixtureCache(Cache):  # type: ignore[misc]
    """One cache of every expert.

    What transformers does to a cache as a whole (reordering for beams, cropping after rejected candidates, repeating
    and selecting rows), it does layer by layer, so showing the layers of all caches in one list is all that it takes.

    Args:
        caches: One of each expert, in order.
    """

    is_compileable = False
    offloading = False
    layer_class_to_replicate = None

    def __init__(self, caches: Iterable[Any]) -> None:  # not the parent's, which sets `layers`
        self.caches = tuple(caches)

    @classmethod
    def of(cls, experts: Iterable[Any]) -> MixtureCache:
        """Return an empty cache for models, with windows where they slide."""
        return cls(transformers.DynamicCache(config=expert.config.get_text_config(decoder=True)) for expert in experts)

    @property
    def layers(self) -> list[Any]:
        """The layers of all caches, one expert after the other."""
        return [layer for cache in self.caches for layer in cache.layers]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.caches))})"

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many tokens have been seen, which is the same for all experts."""
        return int(self.caches[0].get_seq_length(layer_idx))

    def get_max_length(self, layer_idx: int | None = None) -> int:
        """Return the least capacity of the experts' caches, -1 where nothing limits any."""
        return min((length for cache in self.caches if (length := cache.get_max_length(layer_idx)) >= 0), default=-1)

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Return length and offset of the first expert's keys; each expert makes its own mask from its own cache."""
        length, offset = self.caches[0].get_mask_sizes(query_length, layer_idx)
        return length, offset

    def update(self, *arguments: Any, **options: Any) -> Any:
        """Refuse: layers are numbered within an expert. Raises MergeError."""
        raise MergeError("keys and values belong to one expert: update one of `caches`")
