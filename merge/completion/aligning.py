"""The orders of units that a recipe leaves to be found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..alignment.permutations_file import (
    Permutations,
    check_permutations_target,
    digest,
    read_permutations,
    without_times,
    write_permutations,
)
from ..checkpoints.expected import announce_again
from ..checkpoints.resolve import open_checkpoint
from ..errors import MergeError, UsageError
from ..planning.pending import is_unaligned
from ..recipe import Alignment, Merge, Model, Recipe
from .grouping import Found, find_groups
from .matching import Matching
from .places import location_of, statistics_folder

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
        parts = merge.parts
        waiting = {name: alignment_of(model) for name, model in parts.items() if is_unaligned(model)}
        if not waiting:
            return merge
        folder = statistics_folder(self._recipe)
        outs = [folder / f"permutations-{label}{name}.safetensors" for name in waiting]
        find_orders(list(waiting.values()), self._recipe, self._computing, outs, reuse=True)
        for (name, alignment), out in zip(waiting.items(), outs, strict=True):
            found = Alignment(alignment.model, alignment.to, permutations=str(out), where=alignment.where)
            parts[name] = replace(parts[name], model=found)
        return merge.with_parts(parts)


def alignment_of(model: Model) -> Alignment:
    """Return the alignment that a model is. Raises TypeError for another one."""
    if not isinstance(model.model, Alignment):
        raise TypeError("no aligned model")
    return model.model


def find_orders(
    alignments: Sequence[Alignment], recipe: Recipe, computing: Computing, outs: Sequence[Path], *, reuse: bool = False
) -> list[Document]:
    """Find the orders of models that are aligned to one and the same model, and write them.

    Args:
        alignments: What is aligned.
        recipe: The recipe that they stand in.
        computing: How models are run.
        outs: Where each order goes.
        reuse: Whether files with these very orders, which an earlier run has left, are taken as they are.

    Returns:
        For each, where its order is, and what is known of it.

    Raises:
        UsageError: They are aligned to different models, nothing says which units belong together, or a file is in the
            way.
        MergeError: The models do not fit each other, or the groups are wrong.
    """
    first = alignments[0]
    _check_one_way(alignments)
    computing.alone("the orders of units are found")
    with ExitStack() as stack:
        reference = stack.enter_context(_opened(first.to, recipe))
        sources = [stack.enter_context(_opened(alignment.model, recipe)) for alignment in alignments]
        for source in (reference, *sources):
            announce_again(source)
        inputs = [path for source in (reference, *sources) for path in getattr(source, "files", ())]
        for out in outs:
            check_permutations_target(out, force=computing.force or reuse, inputs=inputs)
        found = find_groups(reference, first, recipe, computing)
        matching = Matching(reference, sources, found, first, recipe, computing)
        identities = [_identity(source) for source in (reference, *sources)]
        fingerprints = [digest(text) for text in matching.fingerprints(identities)]
        if reuse and (known := _known(outs, fingerprints, force=computing.force)):
            computing.note(f"the orders are there already: {', '.join(map(str, outs))}")
            return known
        documents = []
        for number, one in enumerate(matching.run()):
            about = one.report.document() | {"groups_from": found.groups.origin} | _proof(found)
            identity, facts = identities[number + 1], without_times(about)
            ids = identities[0], identity
            kept = Permutations(found.groups, one.orders, *ids, facts, fingerprints[number], matching.data_use)
            write_permutations(outs[number], kept, force=computing.force or reuse)
            computing.note(_summary(one, sources[number], outs[number]))
            documents.append({"permutations": str(outs[number]), **about})
    return documents


def _check_one_way(alignments: Sequence[Alignment]) -> None:
    """Refuse alignments of one merge that differ in more than the model."""
    ways = [(one.to.model, dict(one.options), one.groups, one.data) for one in alignments]
    for way, other in zip(ways, alignments, strict=True):
        if way != ways[0]:
            hint = "align them in merges of their own"
            raise UsageError("models of one merge are aligned in one way", where=other.where, hint=hint)


def _known(outs: Sequence[Path], fingerprints: Sequence[str], *, force: bool) -> list[Document] | None:
    """Return what files say that hold these very orders already, or None unless all of them are there.

    Raises:
        UsageError: Something else stands there, and must not be replaced.
    """
    known = [_recorded(out) if out.exists() else None for out in outs]
    same = [
        kept is not None and kept.fingerprint == fingerprint
        for kept, fingerprint in zip(known, fingerprints, strict=True)
    ]
    for out, is_same in zip(outs, same, strict=True):
        if out.exists() and not is_same and not force:
            raise UsageError("other orders stand there", where=str(out), hint="--force replaces them")
    if not all(same):
        return None
    return [{"permutations": str(out), **kept.about} for out, kept in zip(outs, known, strict=True) if kept]


def _recorded(path: Path) -> Permutations | None:
    try:
        return read_permutations(path)
    except MergeError:
        return None


@contextmanager
def _opened(model: Model, recipe: Recipe) -> Iterator[Source]:
    source = open_checkpoint(location_of(model, recipe.folder))
    try:
        yield source
    finally:
        source.close()


def _proof(found: Found) -> Document:
    if found.proof is None:
        return {"proof": None}
    proof = found.proof
    kept = {"largest_difference": proof.largest, "tolerance": proof.tolerance, "precision": proof.precision}
    return {"proof": kept}


def _identity(source: Source) -> str:
    """Return the content id of a checkpoint, by reading it."""
    from ..content_id import checkpoint_id, tensor_digests

    tensors = source.tensors.values()
    return checkpoint_id(tensors, tensor_digests(tensors, source.read_into))


def _summary(matched: Matched, source: Source, out: Path) -> str:
    report = matched.report
    moved = sum(round(group.size * (1 - group.fixed)) for group in report.groups.values())
    units = sum(group.size for group in report.groups.values())
    return (
        f"{source.location} aligned: {moved} of {units} units moved, distance {report.distance_before:.4g} before, "
        f"{report.distance_after:.4g} after, {report.sweeps} sweeps: {out}"
    )
