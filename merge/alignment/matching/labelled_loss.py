"""The loss of a network on labelled data, and its gradient, summed over batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ...after.passes import even_size
from ...calibration.by_batch import by_batch
from ...calibration.feeds.running import running
from ...calibration.intercepting import intercepting
from ...calibration.labels import check_labels
from ...calibration.subject import IGNORED
from ...errors import MergeError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ...calibration.subject import Batch, Sample, Subject
    from ...evaluation.task import Settings

MOST_BYTES = 2 * 2**30  # of items that are kept between steps; more are prepared anew each time


def checked_first(subject: Subject, sample: Sample) -> Batch:
    """Return the first item, if there is a loss to speak of.

    Raises:
        UsageError: The network predicts nothing, or the data has no labels.
        MergeError: The item cannot be read.
    """
    if subject.predicts == "nothing":
        hint = "give a model with a head, or data that names one ('head:' of a YAML file)"
        raise UsageError("gradients need predictions, and the model has no head", where=subject.name, hint=hint)
    first = next(iter(sample.batches(1)))
    if first.labels is None:
        what = f"'{sample.about.get('name', 'the data')}' has no labels, which straight-through matching goes by"
        raise UsageError(what, hint="give data with labels; --matching activations needs none")
    return first


class LabelledLoss:
    """The mean cross-entropy of whatever weights a network has at the time, over all items of a sample.

    Dropout is off. BatchNorm layers normalize by their batch: statistics that were measured on other weights say
    nothing of these, and neither would a gradient through them.

    Args:
        subject: The network.
        sample: The items, with labels.
        settings: Most items at a time; told of progress.

    Raises:
        UsageError: The network predicts nothing, or the data has no labels.
        MergeError: An item cannot be read.
    """

    def __init__(self, subject: Subject, sample: Sample, settings: Settings) -> None:
        self._subject, self._sample, self._advance = subject, sample, settings.advance
        first = checked_first(subject, sample)
        self._size = even_size(len(sample), settings.batch_size)
        nbytes = sum(tensor.nbytes for tensor in first.inputs.values())
        self._kept: list[Batch] | None = [] if nbytes * len(sample) <= MOST_BYTES else None

    def value(self) -> float:
        """Return the loss. Raises MergeError where the network does not run, or the loss is not finite."""
        import torch

        with torch.no_grad():
            return self._mean(differentiate=False)[0]

    def slope(self) -> tuple[float, dict[int, Tensor]]:
        """Return the loss, and its gradient on the CPU by the id of the parameter.

        Parameters that the loss does not depend on are left out.

        Raises:
            MergeError: As `value`.
        """
        parameters = {id(place): place for place in self._subject.places().values() if place.requires_grad}
        for parameter in parameters.values():
            parameter.grad = None
        loss, count = self._mean(differentiate=True)
        found = {key: one.grad.cpu() / count for key, one in parameters.items() if one.grad is not None}
        for parameter in parameters.values():
            parameter.grad = None
        return loss, found

    def _mean(self, *, differentiate: bool) -> tuple[float, int]:
        """Return the mean loss of all predictions, and how many they are."""
        total, count, done = 0.0, 0, 0
        for batch in self._batches():
            loss, predictions = self._of_batch(batch, done)
            if differentiate and predictions:
                loss.backward()  # type: ignore[no-untyped-call]
            total, count, done = total + float(loss.detach()), count + predictions, done + len(batch)
            self._advance(len(batch))
        if not count:
            raise MergeError("no item of the data has anything to predict", where=self._subject.name)
        if not abs(total) < float("inf"):
            raise MergeError(f"the loss is {total} on the data", where=self._subject.name)
        return total / count, count

    def _batches(self) -> Iterable[Batch]:
        if self._kept is None:
            return self._sample.batches(self._size)
        self._kept = self._kept or list(self._sample.batches(self._size))
        return self._kept

    def _of_batch(self, batch: Batch, first: int) -> tuple[Tensor, int]:
        """Return the summed loss of a batch's predictions, and how many they are."""
        from torch.nn import functional

        assert batch.labels is not None  # noqa: S101 - the first item has labels, and so have all
        with intercepting({functional.batch_norm: by_batch}):
            logits = self._subject.logits(batch.inputs)
        labels = batch.labels
        counted = labels != IGNORED
        check_labels(labels.masked_fill(~counted, 0).reshape(len(batch), -1), logits.shape[-1], self._subject, first)
        with running(self._subject.module, batch.inputs, self._subject.name):
            rows, given = logits.flatten(0, -2).float(), labels.flatten().to(logits.device)
            return functional.cross_entropy(rows, given, ignore_index=IGNORED, reduction="sum"), int(counted.sum())
