"""The orders of units that a recipe leaves to be found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..alignment.declared import AlignmentOptions
from ..checkpoints.resolve import open_checkpoint
from ..errors import UsageError
from ..planning.binding import is_unaligned
from ..recipe import Alignment, Merge, Model, Recipe
from .grouping import Found, find_groups
from .places import located, location_of, statistics_folder

if TYPE_CHECKING:
    from ..alignment.matching import Matched
    from ..checkpoints.checkpoint import Source
    from .computing import Computing

    Document = dict[str, Any]


class Aligning:
    """Finds orders into the folder beside a recipe's output."""

    def __init__(self, recipe: Recipe, computing: Computing) -> None:
        self._recipe, self._computing = recipe, computing

    def align(self, merge: Merge, label: str) -> Merge:
        """Return a merge whose aligned models all name the file of their order."""
        places = [number for number, model in enumerate(merge.models) if is_unaligned(model)]
        if not places:
            return merge
        models = list(merge.models)
        outs = [statistics_folder(self._recipe) / f"permutations-{label}{number + 1}.safetensors" for number in places]
        alignments = [alignment_of(models[number]) for number in places]
        find_orders(alignments, self._recipe, self._computing, outs)
        for number, alignment, out in zip(places, alignments, outs, strict=True):
            found = Alignment(alignment.model, alignment.to, permutations=str(out), where=alignment.where)
            models[number] = replace(models[number], model=found)
        return replace(merge, models=tuple(models))


def alignment_of(model: Model) -> Alignment:
    """Return the alignment that a model is. Raises TypeError for another one."""
    if not isinstance(model.model, Alignment):
        raise TypeError("no aligned model")
    return model.model


def find_orders(
    alignments: Sequence[Alignment], recipe: Recipe, computing: Computing, outs: Sequence[Path]
) -> list[Document]:
    """Find the orders of models that are aligned to one and the same model, and write them.

    Raises:
        UsageError: They are aligned to different models, or nothing says which units belong together.
        MergeError: The models do not fit each other, or the groups are wrong.
    """
    from ..alignment.permutations_file import Permutations, write_permutations

    first = alignments[0]
    for other in alignments[1:]:
        if (other.to.model, other.options, other.groups) != (first.to.model, first.options, first.groups):
            hint = "align them in merges of their own"
            raise UsageError("models of one merge are aligned in one way", where=other.where, hint=hint)
    with ExitStack() as stack:
        reference = stack.enter_context(_opened(first.to, recipe))
        sources = [stack.enter_context(_opened(alignment.model, recipe)) for alignment in alignments]
        found = find_groups(reference, first, recipe, computing)
        matched = _match(reference, sources, found, first, recipe, computing)
        proof = _proof(found)
        inputs = [path for source in (reference, *sources) for path in getattr(source, "files", ())]
        documents = []
        for out, one, source in zip(outs, matched, sources, strict=True):
            about = one.report.document() | {"groups_from": found.groups.origin} | proof
            kept = Permutations(found.groups, one.orders, _identity(reference), _identity(source), about)
            write_permutations(out, kept, force=computing.force, inputs=inputs)
            computing.note(_summary(one, source, out))
            documents.append({"permutations": str(out), **about})
    return documents


@contextmanager
def _opened(model: Model, recipe: Recipe) -> Iterator[Source]:
    source = open_checkpoint(location_of(model, recipe.folder))
    try:
        yield source
    finally:
        source.close()


def _match(
    reference: Source,
    sources: Sequence[Source],
    found: Found,
    alignment: Alignment,
    recipe: Recipe,
    computing: Computing,
) -> Sequence[Matched]:
    options = AlignmentOptions(**_checked(alignment.options))
    if options.matching == "activations":
        return [_by_activations(reference, one, found, alignment, options, recipe, computing) for one in sources]
    from ..alignment.matching import CheckpointReader, match_many

    readers = [CheckpointReader(source) for source in (reference, *sources)]
    return match_many(readers, found.groups, options, recipe.seed, note=computing.note)


def _by_activations(
    reference: Source,
    source: Source,
    found: Found,
    alignment: Alignment,
    options: AlignmentOptions,
    recipe: Recipe,
    computing: Computing,
) -> Matched:
    """Run both models over the same data."""
    from ..alignment.matching import CheckpointReader, match_activations
    from ..calibration.data import read_data
    from ..evaluation.candidate import read_candidate

    data = read_data(located(alignment.data or "", recipe.folder))
    settings = replace(computing.settings, seed=recipe.seed)
    first, second = (data.subject(read_candidate(one, one.location), settings) for one in (reference, source))
    sample = data.sample(first, options.samples, "random", settings)
    readers = CheckpointReader(reference), CheckpointReader(source)
    return match_activations((first, second), sample, readers, found.groups, options, settings, note=computing.note)


def _proof(found: Found) -> Document:
    if found.proof is None:
        return {"proof": None}
    proof = found.proof
    kept = {"largest_difference": proof.largest, "tolerance": proof.tolerance, "precision": proof.precision}
    return {"proof": kept}


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    declared = AlignmentOptions.declarations
    return {name: declared[name].check(value, None) for name, value in given.items()}


def _identity(source: Source) -> str:
    """Return the content id that a checkpoint states of itself, if it does."""
    from ..checkpoints.target import OUR_KEY

    return source.metadata.get(OUR_KEY, "")


def _summary(matched: Matched, source: Source, out: Path) -> str:
    report = matched.report
    moved = sum(round(group.size * (1 - group.fixed)) for group in report.groups.values())
    units = sum(group.size for group in report.groups.values())
    return (
        f"{source.location} aligned: {moved} of {units} units moved, distance {report.distance_before:.4g} before, "
        f"{report.distance_after:.4g} after, {report.sweeps} sweeps: {out}"
    )
