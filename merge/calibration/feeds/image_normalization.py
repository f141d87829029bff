"""What the pixels of calibration are normalised with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...evaluation.images import Normalization
from ...evaluation.kinds.zero_shot import ZeroShot
from ...evaluation.zero_shot.published import published_normalization, stated_normalization

if TYPE_CHECKING:
    from ...evaluation.kinds.classification import Classification
    from .image_subject import ImageSubject

FAMILIES = ("clip", "siglip")


def image_normalization(
    subject: ImageSubject, benchmark: Classification | ZeroShot, *, is_shorthand: bool
) -> Normalization:
    """Return what the benchmark says; of zero-shot ones that say nothing, what the model was published with.

    Data that was named without a benchmark is normalised as the model's folder or its repository on the hub says
    (``preprocessor_config.json``), else as timm says of its models, else for CLIP and SigLIP as they were published;
    for other models it is scaled to [0, 1], as in a benchmark that does not say.

    Raises:
        MergeError: The repository's settings cannot be fetched.
    """
    if isinstance(benchmark, ZeroShot):
        return benchmark.normalization or published_normalization(subject.module, subject.architecture, benchmark)
    if not is_shorthand:
        return benchmark.normalization
    found = stated_normalization(subject.architecture) or _of_timm(subject)
    if found:
        return Normalization(*found, benchmark.where, benchmark.data.where)
    if _is_clip(subject):
        return published_normalization(subject.module, subject.architecture, benchmark)
    return benchmark.normalization


def _of_timm(subject: ImageSubject) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return what timm states for an architecture; for models of other channels than it was published with, nothing."""
    stated = getattr(subject.module, "pretrained_cfg", None)
    if subject.architecture.kind != "timm" or not stated:
        return None
    mean, std = (tuple(map(float, stated[name])) for name in ("mean", "std"))
    return (mean, std) if len(mean) in (1, subject.expects.channels) else None


def _is_clip(subject: ImageSubject) -> bool:
    config = getattr(subject.module, "config", None)
    family = str(getattr(config, "model_type", ""))
    return subject.architecture.kind == "open_clip" or family.startswith(FAMILIES)
