"""The weight of the first network at this moment: what every patched module looks at when it is called or read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from .axes import BatchAxes


class Moment:
    """How the two networks are mixed right now.

    Attributes:
        weight: None: tensors are the first network's; a number: all samples alike; a tensor [batch]: one number per
            sample; a tensor without axes: one sample inside ``torch.func.vmap``.
        axes: Where in each module's tensors the batch lies.
        recording: Whether one sample is run to learn the shapes of its tensors.
        stacked: Bytes of interpolated tensors that one sample has read inside vmap so far.
        part: Bytes of a layer's output that are mixed at a time.
    """

    def __init__(self, part: int = 2 << 20) -> None:
        self.weight: float | Tensor | None = None
        self.axes = BatchAxes()
        self.stacked = 0
        self.recording = False
        self.part = part

    @contextmanager
    def at(self, weight: float | Tensor | None) -> Iterator[None]:
        """Mix by this weight inside the context."""
        before, self.weight = self.weight, weight
        try:
            yield
        finally:
            self.weight = before

    @contextmanager
    def record(self, recording: bool) -> Iterator[None]:
        """Take shapes down inside the context, or do not."""
        before, self.recording = self.recording, recording
        try:
            yield
        finally:
            self.recording = before

    @property
    def samples(self) -> Tensor | None:
        """The weights [batch] where whole batches are computed with one weight per sample, else None."""
        return self.weight if isinstance(self.weight, Tensor) and self.weight.ndim else None

    @property
    def batch(self) -> Tensor:
        """The same where it cannot be None."""
        if self.samples is None:
            raise RuntimeError("no samples have weights of their own")
        return self.samples

    @property
    def one_sample(self) -> Tensor | None:
        """The weight of one sample inside vmap, else None."""
        return self.weight if isinstance(self.weight, Tensor) and not self.weight.ndim else None

    def along(self, tensor: Tensor, axis: int) -> Tensor:
        """Return the samples' weights in the shape that broadcasts against a tensor whose batch lies along an axis.

        Args:
            tensor: Its size along the axis is a multiple k of the batch size: k entries a sample, side by side.
            axis: That axis.

        Returns:
            [1, .., batch * k, .., 1], of the tensor's number of axes.
        """
        shape = [1] * tensor.ndim
        shape[axis] = tensor.shape[axis]
        repeats = tensor.shape[axis] // len(self.batch)
        return self.batch.repeat_interleave(repeats).view(shape)

    def in_front(self, ndim: int) -> Tensor:
        """Return the samples' weights as [batch, 1, ..] of a number of axes."""
        return self.batch.view(-1, *[1] * (ndim - 1))
