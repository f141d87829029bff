"""What the evaluation of a sweep is given besides its outputs, and what its report says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..completion.places import location_of
from ..recipe import Recipe
from ..registry import find_method


@dataclass(frozen=True)
class Members:
    """The models that a sweep merges, where they are evaluated beside its outputs.

    Attributes:
        everywhere: Those that every benchmark fits.
        experts: By benchmark, the one whose outputs it scores, where their outputs lie side by side.
    """

    everywhere: Sequence[str] = ()
    experts: Mapping[str, str] = field(default_factory=dict)

    @property
    def all(self) -> list[str]:
        """The models, each once."""
        return list(dict.fromkeys([*self.everywhere, *self.experts.values()]))


def members_of(recipe: Recipe, output: str) -> Members:
    """Return the models of a merge whose outcome is between them in size too; none for other methods.

    Args:
        recipe: The recipe of the sweep.
        output: One of its outputs.
    """
    from ..checkpoints.checkpoint import WIDE_KEY
    from ..checkpoints.resolve import local_path, open_checkpoint
    from ..evaluation.model_name import has_configuration
    from ..evaluation.specification import read_benchmarks

    if not find_method(recipe.merge.method).widens:
        return Members()
    models = [location_of(model, recipe.folder) for model in recipe.merge.models]
    opened = open_checkpoint(output)
    outputs = json.loads(opened.metadata[WIDE_KEY])["outputs"]
    opened.close()
    if not outputs:
        return Members(models)
    owners = {tuple(ends): model for ends, model in zip(outputs, models, strict=True)}
    counts = [last - first for first, last in outputs]
    if counts[0] != counts[1] and not has_configuration(local_path(models[1])):
        owners = {ends: model for ends, model in owners.items() if model == models[0]}  # --model fits one of them only
    scored = {one.name: getattr(one, "outputs", None) for one in read_benchmarks(recipe.evaluate)}
    experts = {name: owners.get((own.first, own.last)) for name, own in scored.items() if own}
    return Members(experts={name: model for name, model in experts.items() if model})


def sweep_section(option: str, values: Sequence[Decimal], outputs: Sequence[str], members: Members) -> dict[str, Any]:
    """Return the part of a report that says which output has which value of the option."""
    points = [
        {"model": output, "value": float(value), "parameters": parameters_of(output)}
        for value, output in zip(values, outputs, strict=True)
    ]
    return {"sweep": {"option": option, "points": points, "references": members.all}}


def parameters_of(location: str) -> int:
    """Return how many numbers the tensors of a checkpoint hold."""
    from ..checkpoints.resolve import open_checkpoint

    opened = open_checkpoint(location)
    try:
        return sum(tensor.elements for tensor in opened.tensors.values())
    finally:
        opened.close()
