"""A classifier over labelled images: what is kept of each, so that all metrics and tests derive from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..errors import MergeError
from .area_under_curve import AUC, area_under_curve
from .images import batches
from .inference import inference
from .outcome import Outcome

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .data.image_set import ImageSet
    from .image_format import ImageFormat
    from .images import Normalization
    from .task import Settings

TOP = 5  # the field's second accuracy, for models with more classes than that


def collect(
    outputs: Callable[[Tensor], Tensor],
    expects: ImageFormat,
    data: ImageSet,
    normalization: Normalization,
    settings: Settings,
) -> NDArray[np.float32]:
    """Return what a function gives for every image, batch by batch [n, …].

    Args:
        outputs: Prepared pixels ▸ float32 on the CPU, without their gradients.
        expects: The pixels that it takes.
        data: The images.
        normalization: Of the pixels.
        settings: Batch size, seed, and what is told of the progress.
    """
    import torch

    parts: list[Tensor] = []
    with inference(settings.seed):
        for pixels in batches(data, normalization, expects, settings.batch_size):
            parts.append(outputs(pixels))
            settings.advance(len(pixels))
    collected: NDArray[np.float32] = torch.cat(parts).numpy()
    return collected


def score(
    logits: NDArray[np.floating],
    labels: NDArray[np.int64],
    *,
    head: str,
    notes: Sequence[str] = (),
    more: Sequence[str] = (),
) -> Outcome:
    """Compare logits [n, classes] with labels [n]; the lowest class wins among equals.

    Args:
        logits: Class scores.
        labels: Class numbers.
        head: What gave the logits.
        notes: On the data.
        more: Metrics besides those that are always reported.
    """
    import numpy as np

    from .calibration import calibration_bins
    from .metrics import accuracy, calibration_error, class_counts, loss, per_class_accuracy, top_accuracy

    log_probabilities = log_softmax(logits)
    chosen = logits.argmax(axis=1)
    correct = chosen == labels
    losses = -log_probabilities[np.arange(len(labels)), labels]
    bins = calibration_bins(np.exp(log_probabilities.max(axis=1)), correct)
    measures = [accuracy(correct), loss(losses), per_class_accuracy(correct, labels), calibration_error(bins)]
    if logits.shape[1] > TOP:
        measures.append(top_accuracy(logits, labels, TOP))
    if AUC in more and (area := area_under_curve(log_probabilities, labels)):
        measures.append(area)
    details = {"head": head, "classes": class_counts(correct, labels), "calibration": bins, "notes": list(notes)}
    return Outcome(tuple(measures), correct, logits=logits, details=details)


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities [n, classes] in float64."""
    import numpy as np

    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def check_classes(logits: Tensor, data: ImageSet, model: str) -> None:
    """Raise MergeError unless there are logits [n, classes] for every label of the data."""
    if logits.ndim != 2:
        raise MergeError(f"logits have shape {list(logits.shape)}; [images, classes] is expected", where=model)
    classes, highest = logits.shape[1], int(data.labels.max())
    if highest >= classes:
        what = f"the benchmark has the label {highest}, the model has {classes} classes (0 to {classes - 1})"
        raise MergeError(what, where=model)
