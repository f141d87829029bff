"""Orders of units from files, proven on the models that they move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..checkpoints.resolve import local_path, open_checkpoint
from ..errors import MergeError, UsageError
from ..recipe import Alignment, Recipe
from .grouping import runnable
from .places import location_of

if TYPE_CHECKING:
    from pathlib import Path

    from ..checkpoints.checkpoint import Source
    from .computing import Computing


def prove_orders(recipe: Recipe, computing: Computing) -> None:
    """Run every model that a file brings into another order, before and after: it must compute the same.

    Raises:
        UsageError: A proof is asked for and nothing says how to run a model.
        MergeError: An order changes what a model computes, or belongs to other tensors.
    """
    for model in recipe.merge.models:
        alignment = model.model
        if not isinstance(alignment, Alignment) or alignment.permutations is None:
            continue
        source = open_checkpoint(location_of(alignment.model, recipe.folder))
        try:
            _prove(source, local_path(alignment.permutations, recipe.folder), recipe.seed, computing)
        finally:
            source.close()


def _prove(source: Source, path: Path, seed: int, computing: Computing) -> None:
    from ..alignment.permutations_file import read_permutations
    from ..alignment.verify import verify_orders

    network = None if computing.verify is False else runnable(source, computing)
    if network is None:
        why = "" if computing.verify is False else ": give --model for that"
        computing.note(f"the orders in {path} were not proven on a running model{why}")
        return
    kept = read_permutations(path)
    try:
        proof = verify_orders(network.module, network.places, kept.groups, kept.orders, network.inputs, seed)
    except MergeError as error:
        hint = "make the file again: --emit permutations; --no-verify leaves the proof out"
        kind = UsageError if isinstance(error, UsageError) else MergeError
        raise kind(error.what, where=str(path), hint=hint) from None
    computing.note(f"{source.location} in the order of {path} computes the same: to {proof.largest:.1e} of its outputs")
