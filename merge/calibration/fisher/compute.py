"""Goes through the data and leaves the Fisher information in a statistics file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from ..facts import Facts
from ..left_out import why_without_gradient
from .job import Job
from .memory import sums_device
from .parameters import parameters_of
from .probe import request_for
from .request import EMPIRICAL, check_options, check_subject
from .run import Run
from .totals import Totals
from .way import Way, choose_way

if TYPE_CHECKING:
    from ...evaluation.candidate import Candidate
    from ...evaluation.task import Settings
    from ..data import CalibrationData
    from ..declared import FisherCalibration
    from ..storing import Store
    from ..subject import Sample, Subject


def compute_fisher(
    candidate: Candidate,
    data: CalibrationData,
    options: FisherCalibration,
    settings: Settings,
    store: Store,
    note: Callable[[str], None] | None = None,
) -> Facts:
    """Compute the diagonal Fisher information of a model and write it.

    Args:
        candidate: The model.
        data: Over which the mean is taken.
        options: Which Fisher information.
        settings: Device, seed, and the largest number of items at a time.
        store: Keeps partial sums, and writes the file in the end.
        note: Told of convergence and of what is worth knowing; by default the store's notes are added to.

    Returns:
        What the file says of itself; ``about["left_out"]`` has the reason for every tensor without information.

    Raises:
        UsageError: The options do not go together, or ask of the model or the data what they have not.
        MergeError: The model does not run, or gives logits or gradients that are not finite.
    """
    note = note or store.notes.append
    check_options(options)
    subject = data.subject(candidate, settings)
    check_subject(options, subject)
    subject.module.eval()  # dropout off, BatchNorm by its statistics
    parameters = parameters_of(subject)
    device = sums_device(parameters, subject)
    sample = data.sample(subject, options.samples, options.draw, settings)
    first = next(iter(sample.batches(1)))
    job = Job(subject, parameters, request_for(options, subject, first, settings.seed))
    if job.request.labels == EMPIRICAL:
        note("warning: with the data's own labels this is the empirical Fisher, not the Fisher information")
    totals = Totals(parameters.tensors, device, per_token=job.request.per_token)
    way = _resumed(store, _fingerprint(candidate, job, sample, settings), totals)
    way = way or choose_way(job, next(iter(sample.batches(2))), settings.batch_size)
    way = Run(job, sample, totals, store, settings.advance, note).go(way)
    _check_outcome(totals, subject, note)
    facts = _facts(candidate, job, sample, totals, way, options)
    store.finish(totals.into_means(), facts)
    return facts


def _fingerprint(candidate: Candidate, job: Job, sample: Sample, settings: Settings) -> dict[str, Any]:
    """Return what must be equal for an earlier run to be continued."""
    from ...provenance import TOOL

    found = {"kind": "fisher", "model": candidate.identity, "data": dict(sample.about), "request": asdict(job.request)}
    found |= {"device": job.subject.device.partition(":")[0], "tool": TOOL}
    # Which items' gradients are added before they are squared decides about the outcome.
    return found | ({"batch_size": settings.batch_size} if job.request.summed else {})


def _resumed(store: Store, fingerprint: Mapping[str, Any], totals: Totals) -> Way | None:
    """Go on from the sums that the store has of the same computation; returns the way in which they were computed."""
    begun = store.begin(fingerprint)
    if begun is None:
        return None
    totals.restore(begun.tensors, begun.notes)
    return Way(**begun.notes["way"])


def _check_outcome(totals: Totals, subject: Subject, note: Callable[[str], None]) -> None:
    """Say which parameters have no information; refuse where none has any.

    Raises:
        MergeError: The Fisher information is 0 everywhere.
    """
    silent = [name for name, total in totals.sums.items() if total.numel() and not total.any()]
    if len(silent) == len(totals.sums):
        what = "the Fisher information is 0 everywhere: the predictions are certain, or do not depend on the weights"
        raise MergeError(what, where=subject.name)
    if silent:
        note(f"{len(silent)} tensors have Fisher information 0, such as '{silent[0]}': nothing depends on them here")


def _facts(
    candidate: Candidate, job: Job, sample: Sample, totals: Totals, way: Way, options: FisherCalibration
) -> Facts:
    request = job.request
    found = {*job.parameters.tensors, *job.parameters.aliases}
    about = {
        "data": dict(sample.about),
        "options": asdict(options),
        "samples": totals.items,
        "labels": request.labels,
        "classes": request.classes,
        "gradients": "summed" if request.summed else "per-example",
        "normalized_per": "token" if request.per_token else "example",
        "positions": totals.positions,
        "convergence": totals.convergence,
        "items_at_a_time": way.size,
        "by": "torch.func" if way.together else "backward passes",
        "sums": "float64",
        "device": job.subject.device.partition(":")[0],
        "seed": request.seed,
        "parameters": len(job.parameters.tensors),
        "left_out": why_without_gradient(candidate.tensors, job.subject.places(), found),
    }
    data_use = "labels" if request.labels == EMPIRICAL else "unlabeled"
    return Facts("fisher", candidate.identity, aliases=job.parameters.aliases, data_use=data_use, about=about)
