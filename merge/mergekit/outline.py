"""The names and shapes of tensors that models have, and the outcomes of merges of them; headers alone are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..planning.assembling import Names
from ..planning.depth import block_of
from ..planning.opening import Opener
from ..planning.patterns import compile_pattern
from ..planning.stack_part import Part
from ..planning.stacks import joined, stacked
from ..recipe import Alignment, Merge, Model


class Outlines:
    """Opens models and remembers what they have."""

    def __init__(self) -> None:
        self._opener = Opener(None)
        self._known: dict[str, Names] = {}

    def of(self, model: Model) -> Names:
        """Return the tensors and the config.json of a model, or of a merge's outcome.

        Raises:
            UsageError: Nothing is there.
            MergeError: What is there is no sound checkpoint.
        """
        if isinstance(model.model, Merge):
            return self._of_merge(model.model)
        if isinstance(model.model, Alignment | Mapping):
            return self._opened(model)
        if model.model not in self._known:
            self._known[model.model] = self._opened(model)
        return self._known[model.model]

    def _opened(self, model: Model) -> Names:
        source = self._opener.sources[self._opener.open(model)]
        return Names(source.tensors, source.config)

    def _of_merge(self, merge: Merge) -> Names:
        if merge.method not in ("stack", "join"):
            return self.of(merge.base or merge.models[0])
        parts = [self.of(model) for model in merge.models]
        if merge.method == "join":
            tests = [compile_pattern(str(model.options.get("match", "*"))) for model in merge.models]
            taken = joined([names.tensors for names in parts], tests)
        else:
            taken = stacked(list(_layers(merge, parts)), str(merge.options.get("stack", "")))
        return Names({name: parts[part].tensors[inner] for name, (part, inner) in taken.items()}, parts[0].config)

    def close(self) -> None:
        """Close what was opened."""
        self._opener.close()


def _layers(merge: Merge, parts: Sequence[Names]) -> Any:
    for model, names in zip(merge.models, parts, strict=True):
        yield Part(names.tensors, names.config, str(model.options.get("layer_range", ":")), model.where, "the model")


def layer_stacks(names: Iterable[str]) -> dict[str, int]:
    """Return the number of layers of every stack, by what stands in front of the numbers.

    Modules that are numbered otherwise, such as a projector's 0 and 2 with an activation between them, are no layers.
    """
    numbers: dict[str, set[int]] = {}
    for name in names:
        place = block_of(name)
        if place:
            numbers.setdefault(place[0], set()).add(place[1])
    return {prefix: len(found) for prefix, found in numbers.items() if max(found) + 1 == len(found)}
