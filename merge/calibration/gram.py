"""Gram matrices of the inputs of everything in a model that multiplies by a matrix (RegMean, arXiv 2212.09849)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import MergeError
from .facts import Facts
from .fingerprint import fingerprint_of
from .gram_sums import Grams, GramSums
from .left_out import parameters_to_watch, why_left_out
from .masks import Masks
from .streams import following
from .watch import OUT_IN, Watch

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.candidate import Candidate
    from ..evaluation.task import Settings
    from .data import CalibrationData
    from .declared import GramCalibration
    from .partial import Begun
    from .storing import Store
    from .subject import Batch, Sample, Subject


def compute_gram(
    candidate: Candidate, data: CalibrationData, options: GramCalibration, settings: Settings, store: Store
) -> Facts:
    """Compute a model's Gram matrices and write them.

    Each is the mean over rows x of x^T x: over tokens, patches or items, whatever the parameter is applied to. One
    forward pass per item.

    Args:
        candidate: The model.
        data: What it is run on.
        options: How many items, and which rows count.
        settings: Device, seed, items at a time; told of progress.
        store: Keeps sums so far, and writes the file in the end.

    Returns:
        What the file says of itself; ``about["left_out"]`` has the reason for every matrix without a Gram matrix.

    Raises:
        UsageError: Model and data do not fit.
        MergeError: The model does not run, has inputs that are not finite, or multiplies by none of its tensors.
    """
    subject = data.subject(candidate, settings)
    sample = data.sample(subject, options.samples, options.draw, settings)
    run = _Run(candidate, subject, options)
    fingerprint = fingerprint_of("gram", candidate, subject, sample, options, settings)
    run.go_through(sample, settings, store, fingerprint)
    grams = run.grams()
    if not grams.means:
        hint = "Gram matrices are for Linear layers and their like; --convolutions adds convolutions"
        raise MergeError("the model multiplies its inputs by none of its tensors", where=subject.name, hint=hint)
    facts = _facts(fingerprint, grams, run.left_out(grams))
    store.finish(grams.means, facts)
    return facts


class _Run:
    """One pass over a sample."""

    def __init__(self, candidate: Candidate, subject: Subject, options: GramCalibration) -> None:
        self._candidate, self._subject, self._options = candidate, subject, options
        self._places = subject.places()
        self._sums = GramSums(subject.name)
        parameters = parameters_to_watch(self._places)
        self._watch = Watch(parameters, self._sums.observe, convolutions=options.convolutions)

    def go_through(self, sample: Sample, settings: Settings, store: Store, fingerprint: Mapping[str, Any]) -> None:
        begun = store.begin(fingerprint)
        done = 0
        if begun is not None:
            done = begun.notes["items"]
            self._restore(begun)
            settings.advance(done)
        for batch in sample.batches(settings.batch_size, done):
            self._add(batch)
            done += len(batch)
            settings.advance(len(batch))
            if store.is_due and done < len(sample):
                store.save(*self._state(done))

    def _state(self, done: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, notes = self._sums.state()
        uses = {"embeddings": sorted(self._watch.embeddings), "filters": sorted(self._watch.filters)}
        return tensors, notes | uses | {"items": done}

    def _restore(self, begun: Begun) -> None:
        self._watch.embeddings, self._watch.filters = set(begun.notes["embeddings"]), set(begun.notes["filters"])
        self._sums.restore(begun.tensors, begun.notes, self._subject.device)

    def _add(self, batch: Batch) -> None:
        import torch

        inputs = {name: tensor.to(self._subject.device) for name, tensor in batch.inputs.items()}
        masks = Masks(batch.counted if self._options.padding == "masked" else None)
        self._sums.masks = masks
        with torch.no_grad(), following(self._subject.module, inputs, masks), self._watch:
            self._subject.run(inputs)
        self._sums.end_batch()

    def grams(self) -> Grams:
        return self._sums.grams(left_out=self._watch.embeddings)

    def left_out(self, grams: Grams) -> dict[str, str]:
        found = {*grams.means, *grams.aliases}
        tensors = self._candidate.tensors
        return why_left_out(tensors, self._places, found, self._watch, self._sums, self._options)


def _facts(fingerprint: Mapping[str, Any], grams: Grams, left_out: Mapping[str, str]) -> Facts:
    layout = {name: kind for name, kind in grams.layouts.items() if kind != OUT_IN}
    about = {name: value for name, value in fingerprint.items() if name not in {"kind", "model", "tool"}}
    return Facts(
        kind="gram",
        model=fingerprint["model"],
        aliases=grams.aliases,
        layout=layout,
        rows=grams.rows,
        about=about | {"left_out": dict(left_out)},
    )
