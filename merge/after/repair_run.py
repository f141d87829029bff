"""REPAIR from models in files to a file of what corrects one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..calibration.facts import Facts
from ..calibration.fingerprint import fingerprint_of
from .order import Nearness
from .passes import Passes
from .pre_activations import PreActivations
from .repair import KIND, Repaired, look_at, repair

if TYPE_CHECKING:
    from ..calibration.data import CalibrationData
    from ..calibration.storing import Store
    from ..evaluation.candidate import Candidate
    from ..evaluation.locate import Location
    from ..evaluation.task import Settings
    from .declared import ResetOptions


def compute_repair(
    model: Candidate,
    data: CalibrationData,
    options: ResetOptions,
    settings: Settings,
    store: Store,
    *,
    toward: Sequence[Location],
    shares: Sequence[float],
) -> Facts:
    """Measure what corrects an average of models, and write it to a file.

    Args:
        model: The average.
        data: What all of them are run on.
        options: How many items.
        settings: Device, seed, items at a time; told of progress.
        store: Keeps sums so far, and writes the file in the end.
        toward: The models that it is of, or others in the same order of units.
        shares: Theirs in the average, with the sum 1.

    Returns:
        What the file says of itself.

    Raises:
        UsageError: Models and data do not fit.
        MergeError: A model does not run, or has tensors of other shapes.
    """
    subject = data.subject(model, settings)
    sample = data.sample(subject, options.samples, options.draw, settings)
    nearness = Nearness(model)
    identities = [nearness.add(location.load(), share) for location, share in zip(toward, shares, strict=True)]
    about = {"toward": identities, "shares": list(shares), "nearness": nearness.cosine()}
    fingerprint = fingerprint_of(KIND, model, subject, sample, options, settings) | about
    passes = Passes(settings, store, store.begin(fingerprint))
    ends = [_measured(number, one, data, options, settings, passes) for number, one in enumerate(toward)]
    endpoints = look_at(ends, shares)
    found = repair(subject, sample, model.tensors, endpoints, passes)
    facts = _facts(fingerprint, found)
    store.finish(found.tensors, facts)
    return facts


def _measured(
    number: int, location: Location, data: CalibrationData, options: ResetOptions, settings: Settings, passes: Passes
) -> PreActivations:
    """Run one endpoint as it is."""
    subject = data.subject(location.load(), settings)
    sample = data.sample(subject, options.samples, options.draw, settings)
    outputs = PreActivations(subject.places(), subject.name)
    passes.run(f"toward-{number}", subject, sample, outputs)
    return outputs


def _facts(fingerprint: Mapping[str, Any], found: Repaired) -> Facts:
    about = {name: value for name, value in fingerprint.items() if name not in {"kind", "model", "tool"}}
    about |= {"left_out": found.left_out, "without_bias": found.without_bias, "largest_factor": found.largest}
    return Facts(kind=KIND, model=fingerprint["model"], layout=found.layouts, about=about)
