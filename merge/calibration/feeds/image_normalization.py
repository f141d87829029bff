"""What the pixels of calibration are normalised with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...evaluation.kinds.zero_shot import ZeroShot
from ...evaluation.zero_shot.published import of_folder, published_normalization

if TYPE_CHECKING:
    from ...evaluation.images import Normalization
    from ...evaluation.kinds.classification import Classification
    from .image_subject import ImageSubject

FAMILIES = ("clip", "siglip")


def image_normalization(
    subject: ImageSubject, benchmark: Classification | ZeroShot, *, is_shorthand: bool
) -> Normalization:
    """Return what the benchmark says; of zero-shot ones that say nothing, what the model was published with.

    Data that was named without a benchmark is normalised as the model's folder says (``preprocessor_config.json``), or
    for CLIP and SigLIP as they were published; for other models it is scaled to [0, 1], as in a benchmark that does
    not say.
    """
    if isinstance(benchmark, ZeroShot):
        return benchmark.normalization or published_normalization(subject.module, subject.architecture, benchmark)
    if is_shorthand and (_is_clip(subject) or of_folder(Path(subject.architecture.name))):
        return published_normalization(subject.module, subject.architecture, benchmark)
    return benchmark.normalization


def _is_clip(subject: ImageSubject) -> bool:
    config = getattr(subject.module, "config", None)
    family = str(getattr(config, "model_type", ""))
    return subject.architecture.kind == "open_clip" or family.startswith(FAMILIES)
