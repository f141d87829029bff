"""The activations of the merged blocks so far, for every model's data, on their way through the stacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..masks import Masks
from .cache import Cache
from .capture import Finished, capture, skipping
from .tracks import Form, Running, Track, run_block, stream_of

if TYPE_CHECKING:
    from ..subject import Batch, Sample, Subject
    from .stacks import Stack

# What is kept for a batch: arguments of the first block alone, those of later ones, outputs of the block before.
ENTRY, SHARED, OUTPUTS = "entry", "shared", "outputs"


class Activations:
    """All batches of all models' data.

    Args:
        subject: The network with the merged weights so far.
        samples: The data of each model.
        batch_size: Items at a time.
        cache: Where tensors are kept.
    """

    def __init__(self, subject: Subject, samples: Sequence[Sample], batch_size: int, cache: Cache) -> None:
        self._subject, self._samples, self._size, self._cache = subject, samples, batch_size, cache
        self._tracks: list[list[Track]] = [[] for _ in samples]

    def enter(self, stack: Stack) -> None:
        """Bring all data to the first block of a stack.

        Raises:
            MergeError: As `capture` does, or an item cannot be read.
        """
        for model in range(len(self._samples)):
            for track, batch in self._batches(model):
                track.calls, held = capture(self._subject, stack, batch.inputs, self._finished(model, track))
                later = {number for call in track.calls[1:] for number in call.holds()}
                for what, numbers in ((ENTRY, held.keys() - later), (SHARED, later)):
                    self._cache.put((model, track.batch, what), {number: held[number] for number in numbers})

    def through(self, model: int, block: Any, number: int) -> Iterator[Running]:
        """Yield every batch of a model's data, ready to run through a block of the stack with its present weights."""
        for track in self._tracks[model]:
            yield run_block(track, block, self._arguments(model, track, number))

    def advance(self, block: Any, number: int) -> None:
        """Run all data through a merged block; its outputs take the place of its inputs."""
        import torch
        from torch.utils._pytree import tree_flatten

        for model, tracks in enumerate(self._tracks):
            for track, running in zip(tracks, self.through(model, block, number), strict=True):
                with torch.no_grad():
                    leaves, nesting = tree_flatten(running.run())
                tensors = {n: leaf.cpu() for n, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)}
                track.form = Form([None if n in tensors else leaf for n, leaf in enumerate(leaves)], nesting)
                self._cache.put((model, track.batch, OUTPUTS), tensors)
                self._cache.drop((model, track.batch, ENTRY))

    def leave(self, stack: Stack) -> None:
        """Keep the outputs of a stack's last block for what comes after it, and nothing else."""
        for model, tracks in enumerate(self._tracks):
            for track in tracks:
                outputs = self._cache.get((model, track.batch, OUTPUTS))
                self._cache.put((model, track.batch, stack.name), outputs)
                for what in (SHARED, OUTPUTS):
                    self._cache.drop((model, track.batch, what))
                track.finished.append((stack, track.form))

    def after(self, model: int) -> Iterator[Running]:
        """Yield every batch of a model's data, ready to run through what comes after the last stack."""
        for track, batch in self._batches(model):
            masks = Masks(track.counted)
            masks.stream = stream_of(track.counted, decoder=True) if len(track.counted) > 1 else None
            yield Running(track.items, masks, partial(self._rest, model, track, batch))

    def _rest(self, model: int, track: Track, batch: Batch) -> None:
        with skipping(self._finished(model, track), self._subject.device):
            self._subject.run(batch.inputs)

    def _arguments(self, model: int, track: Track, number: int) -> Any:
        held = dict(self._cache.get((model, track.batch, SHARED)))
        if number == 0:
            held |= self._cache.get((model, track.batch, ENTRY))
        passed = track.form.fill(self._cache.get((model, track.batch, OUTPUTS))) if number else []
        return track.calls[number].arguments(held, passed, self._subject.device)

    def _finished(self, model: int, track: Track) -> list[Finished]:
        return [
            Finished(stack, form.fill(self._cache.get((model, track.batch, stack.name))), form.nesting)
            for stack, form in track.finished
        ]

    def _batches(self, model: int) -> Iterator[tuple[Track, Batch]]:
        tracks = self._tracks[model]
        for number, batch in enumerate(self._samples[model].batches(self._size)):
            if number == len(tracks):
                tracks.append(Track(number, len(batch), batch.counted or {}))
            yield tracks[number], batch
