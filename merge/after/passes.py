"""Passes of networks over a sample, which can be continued after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..calibration.intercepting import intercepting, without_fast_path
from ..calibration.masks import Masks
from ..calibration.streams import following
from .observer import Observer

if TYPE_CHECKING:
    from ..calibration.partial import Begun
    from ..calibration.storing import Store
    from ..calibration.subject import Batch, Sample, Subject
    from ..evaluation.task import Settings


class Passes:
    """Runs one network after the other over the same items.

    Args:
        settings: Items at a time; told of progress.
        store: Keeps what was seen so far; None: nothing is kept.
        begun: What an earlier run has left.
    """

    def __init__(self, settings: Settings, store: Store | None = None, begun: Begun | None = None) -> None:
        self._settings, self._store, self._begun = settings, store, begun
        self._seen: dict[str, tuple[Observer, int]] = {}

    def run(self, label: str, subject: Subject, sample: Sample, observer: Observer) -> int:
        """Run a network over all items while an observer looks on.

        Args:
            label: Tells this pass from the others.
            subject: The network.
            sample: The items.
            observer: Begins where an earlier run ended.

        Returns:
            The number of batches.

        Raises:
            MergeError: The network does not run on them.
        """
        size = even_size(len(sample), self._settings.batch_size)
        done = self._restore(label, observer, subject.device)
        self._settings.advance(done)
        for batch in sample.batches(size, done):
            _run_once(subject, batch, observer)
            done += len(batch)
            self._seen[label] = observer, done
            self._settings.advance(len(batch))
            self._save()
        self._seen[label] = observer, done
        return -(-len(sample) // size)

    def _restore(self, label: str, observer: Observer, device: str) -> int:
        if self._begun is None or label not in self._begun.notes["passes"]:
            return 0
        noted, start = self._begun.notes["passes"][label], f"{label}/"
        tensors = self._begun.tensors.items()
        own = {name.removeprefix(start): value for name, value in tensors if name.startswith(start)}
        observer.restore(own, noted["notes"], device)
        return int(noted["items"])

    def _save(self) -> None:
        if self._store is None or not self._store.is_due:
            return
        tensors: dict[str, Any] = {}
        passes: dict[str, Any] = {}
        for label, (observer, items) in self._seen.items():
            found, notes = observer.state()
            tensors |= {f"{label}/{name}": value for name, value in found.items()}
            passes[label] = {"notes": notes, "items": items}
        self._store.save(tensors, {"passes": passes, "items": sum(items for _, items in self._seen.values())})


def _run_once(subject: Subject, batch: Batch, observer: Observer) -> None:
    import torch

    masks = Masks(batch.counted)
    inputs: Mapping[str, Any] = {name: tensor.to(subject.device) for name, tensor in batch.inputs.items()}
    observer.begin_batch(masks)
    watched = following(subject.module, inputs, masks)
    with torch.no_grad(), watched, without_fast_path(), intercepting(observer.handlers()):
        subject.run(inputs)


def even_size(items: int, most: int) -> int:
    """Return how many items to take at a time: the most with which the last batch is at least half full.

    A layer that normalizes by its batch would be led astray by a last batch of one or two items.
    """
    sizes = [size for size in range(min(most, items), 0, -1) if not 0 < items % size < size / 2]
    return sizes[0]
