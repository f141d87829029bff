r"""BatchNorm statistics, measured anew on data.

An average of networks has other activations than each of them, so that their statistics, averaged or not, fit it badly
(Jordan et al. 2023, "REPAIR", arXiv:2211.08403). What is done is torch's own recipe: forget the old statistics, and run
the network once over data with BatchNorm layers normalizing by their batch; dropout stays off, and no gradient is
taken. It departs from torch's cumulative average (``momentum=None``) in one respect. That is the mean of the batches'
means and variances; here, all values that a layer saw count once, as if they had come in one batch:

    mean = sum x / n,    variance = sum (x - mean)^2 / (n - 1)

in float64. So a small last batch weighs no more than its items, and of the first layer the outcome does not depend on
the batch size at all. Later layers see what the ones before have normalized batch by batch, so theirs does, a little.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..calibration.facts import Facts
from ..calibration.fingerprint import fingerprint_of
from ..errors import MergeError
from .batch_norm_layers import COUNT, MEAN, VARIANCE, BatchStatistics, check_has_layers, layers_in
from .passes import Passes

if TYPE_CHECKING:
    from torch import Tensor

    from ..calibration.data import CalibrationData
    from ..calibration.storing import Store
    from ..calibration.subject import Sample, Subject
    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Settings
    from .declared import ResetOptions

KIND = "batch-norm"
NOT_RUN = "it did not run, or not by torch's function batch_norm"


@dataclass(frozen=True)
class Measured:
    """New statistics.

    Attributes:
        tensors: By the checkpoint's names: means and variances in float64, counts of batches in int64.
        left_out: Why a layer of the checkpoint keeps its old ones, by the name of its mean.
        batches: How many batches there were.
    """

    tensors: dict[str, Tensor]
    left_out: dict[str, str]
    batches: int


def measure(subject: Subject, sample: Sample, tensors: Mapping[str, Tensor], passes: Passes) -> Measured:
    """Run a network over a sample and return what its BatchNorm layers saw.

    Args:
        subject: The network; none of its parameters and buffers are changed.
        sample: The items.
        tensors: The checkpoint's.
        passes: How it is run.

    Raises:
        MergeError: The network does not run, or none of its BatchNorm layers does.
    """
    layers = BatchStatistics(subject.places(), subject.name)
    batches = passes.run(KIND, subject, sample, layers)
    return collect(layers, tensors, batches, subject.name)


def collect(layers: BatchStatistics, tensors: Mapping[str, Tensor], batches: int, where: str) -> Measured:
    """Return what was added up as the statistics of a checkpoint's layers.

    Raises:
        MergeError: There is nothing.
    """
    owners, moments = layers.owners, layers.sums.moments
    seen = {layer: moments[owner] for layer, owner in owners.items() if owner in moments}
    if not seen:
        what = "none of the BatchNorm layers runs, or none as torch's function batch_norm"
        raise MergeError(what, where=where)
    new = {f"{layer}{MEAN}": found.mean for layer, found in seen.items()}
    new |= {f"{layer}{VARIANCE}": found.variance for layer, found in seen.items()}
    new |= {name: _count(batches) for layer in seen if _is_count(tensors.get(name := f"{layer}{COUNT}"))}
    left_out = {f"{layer}{MEAN}": _reason(layer, owners) for layer in layers_in(tensors) if layer not in seen}
    return Measured(new, left_out, batches)


def _is_count(tensor: Tensor | None) -> bool:
    import torch

    return tensor is not None and tensor.dtype == torch.int64


def _count(batches: int) -> Tensor:
    import torch

    return torch.tensor(batches, dtype=torch.int64)


def _reason(layer: str, owners: Mapping[str, str]) -> str:
    return NOT_RUN if layer in owners else "without a place of its own in the network"


def compute_batch_norm(
    candidate: Candidate, data: CalibrationData, options: ResetOptions, settings: Settings, store: Store
) -> Facts:
    """Measure a model's BatchNorm statistics and write them to a file.

    Args:
        candidate: The model.
        data: What it is run on.
        options: How many items.
        settings: Device, seed, items at a time; told of progress.
        store: Keeps sums so far, and writes the file in the end.

    Returns:
        What the file says of itself.

    Raises:
        UsageError: The model has no BatchNorm, or model and data do not fit.
        MergeError: The model does not run.
    """
    check_has_layers(candidate.tensors, candidate.name)
    subject = data.subject(candidate, settings)
    sample = data.sample(subject, options.samples, options.draw, settings)
    fingerprint = fingerprint_of(KIND, candidate, subject, sample, options, settings)
    passes = Passes(settings, store, store.begin(fingerprint))
    found = measure(subject, sample, candidate.tensors, passes)
    facts = facts_of(fingerprint, found)
    store.finish(found.tensors, facts)
    return facts


def new_statistics(
    candidate: Candidate, data: CalibrationData, options: ResetOptions, settings: Settings
) -> dict[str, Tensor]:
    """Measure a model's BatchNorm statistics, on the CPU and in the types of its own ones.

    Raises:
        UsageError: The model has no BatchNorm, or model and data do not fit.
        MergeError: The model does not run.
    """
    check_has_layers(candidate.tensors, candidate.name)
    subject = data.subject(candidate, settings)
    sample = data.sample(subject, options.samples, options.draw, settings)
    found = measure(subject, sample, candidate.tensors, Passes(settings)).tensors
    return {name: tensor.cpu().to(candidate.tensors[name].dtype) for name, tensor in found.items()}


def facts_of(fingerprint: Mapping[str, Any], found: Measured) -> Facts:
    """Return what a file of such statistics says of itself."""
    about = {name: value for name, value in fingerprint.items() if name not in {"kind", "model", "tool"}}
    about |= {"left_out": found.left_out, "batches": found.batches}
    return Facts(kind=fingerprint["kind"], model=fingerprint["model"], about=about)
