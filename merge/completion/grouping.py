"""Where the groups of units come from: a file, the traced model, or a template for bare checkpoints."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MergeError, UsageError
from ..recipe import Alignment, Recipe
from .places import located

if TYPE_CHECKING:
    from ..alignment.groups import Groups
    from ..alignment.models import Traceable
    from ..alignment.verify import Proof
    from ..checkpoints.checkpoint import Source
    from .computing import Computing


@dataclass(frozen=True)
class Found:
    """Groups of a model.

    Attributes:
        shapes: Of all tensors of the model, by name.
        proof: What was proven of them; None where nothing ran.
    """

    groups: Groups
    shapes: Mapping[str, tuple[int, ...]]
    proof: Proof | None = None


def find_groups(source: Source, alignment: Alignment, recipe: Recipe, computing: Computing) -> Found:
    """Find the groups of a model and, where it can be built, prove them on it.

    Raises:
        UsageError: Nothing says which units belong together, or a proof is asked for and nothing can be built.
        MergeError: The model cannot be traced, or the groups change what it computes.
    """
    from ..alignment.groups_file import read_groups
    from ..alignment.kinds import check_kinds
    from ..alignment.validation import check, coverage

    shapes = {name: tensor.shape for name, tensor in source.tensors.items()}
    groups = None
    if alignment.groups:  # before anything is built, since files have mistakes
        groups = read_groups(Path(located(alignment.groups, recipe.folder)), shapes, alignment.groups)
    traced = runnable(source, computing)
    groups = groups or _known(source, traced, computing)
    check(groups, shapes)
    if traced is None and (bare := coverage(groups, shapes).uncovered):
        computing.note(f"{len(bare)} tensor(s) are in no group, such as '{bare[0]}'")
    if not groups.groups:
        raise MergeError("no unit of this model may be reordered", where=source.location, hint="--explain says why")
    check_kinds(str(alignment.options.get("only", "")), groups, alignment.where)
    proof = _prove(traced, groups, computing, recipe.seed)
    del traced
    gc.collect()  # tracing leaves cycles that hold the whole model, and matching needs the room
    return Found(groups, shapes, proof)


def _known(source: Source, traced: Traceable | None, computing: Computing) -> Groups:
    """Return the groups of a model that is traced, or of a known family."""
    if traced is not None:
        from ..alignment.derive import derive_groups

        return derive_groups(traced.module, traced.places, traced.inputs, source.location)
    from ..alignment.templates import groups_of

    template = groups_of(source)
    for note in template.notes:
        computing.note(note)
    return template.groups


def runnable(source: Source, computing: Computing) -> Traceable | None:
    """Return a model that can be run; None where nothing says how to build it.

    Raises:
        UsageError: That is so, and a proof is asked for; or nothing says what the model reads.
        MergeError: The checkpoint does not fit its architecture.
    """
    from ..alignment.models import traceable
    from ..evaluation.candidate import read_candidate
    from ..evaluation.model_name import has_configuration

    folder = getattr(source, "folder", None)
    if computing.settings.model is None and not (folder is not None and has_configuration(folder)):
        if computing.verify or computing.input_shape:
            hint = "name the architecture with --model"
            raise UsageError("nothing says how to run the model", where=source.location, hint=hint)
        return None
    shape = input_shape(computing.input_shape) if computing.input_shape else None
    return traceable(read_candidate(source, source.location), computing.settings.model, shape, computing.note)


def input_shape(text: str) -> list[int]:
    """Turn ``2x64`` into numbers. Raises UsageError for anything else."""
    parts = text.lower().split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        hint = "the batch goes first: 2x3x224x224 for two images, 2x64 for two rows of features"
        raise UsageError(f"--input-shape must be whole numbers with x between them, not '{text}'", hint=hint)
    return [int(part) for part in parts]


def _prove(traced: Traceable | None, groups: Groups, computing: Computing, seed: int) -> Proof | None:
    if traced is None or computing.verify is False:
        computing.note("the groups were not proven on a running model" + ("" if traced else ": give --model for that"))
        return None
    from ..alignment.verify import verify_groups

    proof = verify_groups(traced.module, traced.places, groups, traced.inputs, seed)
    computing.note(f"{len(groups.groups)} groups proven: the outputs change by {proof.largest:.1e} at most")
    return proof
