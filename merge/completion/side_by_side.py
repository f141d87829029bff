"""The statistics of several models side by side, each computed by a process of its own into its own file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..distributed.hands import in_order
from ..distributed.spreading import spread
from ..errors import MergeError
from ..recipe import Merge, Model, Recipe
from ..registry import find_method
from .computing import Computing
from .learning import Learning, lacks
from .options import calibration_options


def learn_side_by_side(recipe: Recipe, computing: Computing, merge: Merge, labels: Sequence[str]) -> list[Model]:
    """Return the models of a merge with their statistics, in order.

    Args:
        recipe: The recipe that the merge stands in.
        computing: How statistics are computed, and by whom.
        merge: The merge.
        labels: What the files of its models are told apart by.

    Raises:
        MergeError: What a process could not do, or that this one does not see its file.
    """
    from ..evaluation.inference import threads_of_each

    method = find_method(merge.method)
    threads = threads_of_each(computing.threads, computing.spreading.engine)
    device = computing.elsewhere or computing.settings.device
    silent = replace(computing.settings, advance=_ignore, device=device)
    how = replace(computing, settings=silent, note=_tell_nobody, threads=threads)
    models = dict(zip(labels, merge.models, strict=True))
    calls = [(recipe, how, merge, model, label) for label, model in models.items() if lacks(model, method)]
    for (*_, label), (model, notes) in zip(calls, in_order(_counted(calls, computing, threads)), strict=True):
        for note in notes:
            computing.note(note)
        _check_seen(model)
        models[label] = model
    return list(models.values())


def learn_one(recipe: Recipe, how: Computing, merge: Merge, model: Model, label: str) -> tuple[Model, list[str]]:
    """Return a model with its statistics, and what there is to tell; a process of its own calls this."""
    from ..evaluation.device import own_device
    from ..evaluation.inference import torch_threads

    notes: list[str] = []
    settings = replace(how.settings, device=own_device(how.settings.device))
    with torch_threads(how.threads):
        learning = Learning(recipe, replace(how, settings=settings, note=notes.append))
        return learning.with_statistics(model, merge, label), notes


def _counted(
    calls: Sequence[tuple[Recipe, Computing, Merge, Model, str]], computing: Computing, threads: int
) -> Iterator[tuple[int, tuple[Model, list[str]]]]:
    for answer in spread(learn_one, calls, replace(computing.spreading, threads=threads)):
        computing.settings.advance(int(calibration_options(calls[0][2]).samples))
        yield answer


def _check_seen(model: Model) -> None:
    for path in model.statistics.values():
        if not Path(str(path)).exists():
            hint = "the folder of the output must be one that all machines share"
            what = "was written by a machine of the cluster, and is not seen here"
            raise MergeError(what, where=str(path), hint=hint)


def _ignore(items: int) -> None:
    """Advance nothing: progress is shown by the process that asks."""


def _tell_nobody(line: str) -> None:
    """Tell nothing: the process that asks is told in the end."""
