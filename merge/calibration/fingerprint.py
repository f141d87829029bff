"""What the numbers that a run gathers depend on: a run is gone on with, or used again, where that is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Settings
    from ..options import Options
    from .subject import Sample, Subject


def fingerprint_of(
    kind: str, candidate: Candidate, subject: Subject, sample: Sample, options: Options, settings: Settings
) -> dict[str, Any]:
    """Return all that the numbers of one model over one sample depend on, where the size of a batch is among that.

    Args:
        kind: Of the statistics.
        candidate: The model.
        subject: Its network.
        sample: What it is run on.
        options: How.
        settings: Seed, items at a time.
    """
    from ..provenance import TOOL

    return {
        "kind": kind,
        "model": candidate.identity,
        "data": dict(sample.about),
        "options": dict(vars(options)),
        "seed": settings.seed,
        "batch size": settings.batch_size,
        "device": subject.device.partition(":")[0],
        "tool": TOOL,
    }
