"""How bytes reach a GPU and come back: three streams, chained by events.

A worker's copies to the GPU, its arithmetic and its copies back are queued on a stream each, so that one worker's
inputs follow each other without a gap while the first of them is being converted, and one worker's arithmetic runs
beside the copies of the others, in both directions: a GPU has one engine for each. A worker waits for its outcome
before it reads more. Letting it run ahead would take a second set of buffers per worker and bring what another worker
brings: three to a GPU keep all three stages busy.

Three things must hold, since the GPU reads and writes buffers after the call that asked for it has returned:

- A buffer is not filled again before everything sent from it has arrived: `settle`, which `TorchBackend.raw` calls.
- Memory on the GPU that one stream took and another one reads is not given away meanwhile: `record_stream`.
- Bytes that were fetched are looked at after the event behind their copy: `fetch` waits for it.
"""

from __future__ import annotations

from typing import Any, Protocol


class Lanes(Protocol):
    """The ways between the host's memory and that of the device."""

    def begin(self) -> None:
        """Make this worker's arithmetic go to its device, from now on, in this thread."""

    def send(self, host: Any) -> Any:
        """Return a tensor's copy on the device; it may still be on its way, which arithmetic waits for."""

    def fetch(self, array: Any, host: Any) -> None:
        """Copy a tensor from the device into one of the host, and wait until it is there."""

    def settle(self) -> None:
        """Wait until everything that was sent has arrived."""


class NoLanes:
    """The host is the device."""

    def begin(self) -> None:
        """Do nothing."""

    def send(self, host: Any) -> Any:
        """Return the tensor itself."""
        return host

    def fetch(self, array: Any, host: Any) -> None:
        """Copy."""
        host.copy_(array)

    def settle(self) -> None:
        """Do nothing."""


class CudaLanes:
    """Three streams of one GPU.

    Args:
        device: The ``torch.device``, with its number.
    """

    def __init__(self, device: Any) -> None:
        from torch import cuda

        self._device, self._cuda = device, cuda
        self._inward, self._compute, self._outward = (cuda.Stream(device) for _ in range(3))  # type: ignore[no-untyped-call]
        self._sent: Any = None

    def begin(self) -> None:
        """Make this worker's arithmetic go to its own stream, from now on, in this thread."""
        self._cuda.set_stream(self._compute)

    def send(self, host: Any) -> Any:
        """Return a tensor's copy on the GPU; it may still be on its way, which arithmetic waits for."""
        import torch

        with self._cuda.stream(self._inward):
            there = torch.empty_like(host, device=self._device)
            there.copy_(host, non_blocking=True)
            self._sent = self._mark(self._inward)
        self._compute.wait_event(self._sent)
        there.record_stream(self._compute)  # it was taken for the other stream, which may not have it back too early
        return there

    def fetch(self, array: Any, host: Any) -> None:
        """Copy a tensor from the GPU into one of the host, and wait until it is there."""
        self._outward.wait_event(self._mark(self._compute))
        with self._cuda.stream(self._outward):
            host.copy_(array, non_blocking=True)
            self._mark(self._outward).synchronize()  # and so the array is held until it has been read

    def settle(self) -> None:
        """Wait until everything that was sent has arrived."""
        if self._sent is not None:
            self._sent.synchronize()
            self._sent = None

    def _mark(self, stream: Any) -> Any:
        # Blocking: whoever waits leaves the processor to others.
        event = self._cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(stream)
        return event
