"""How fast bytes reach a GPU and come back, and how fast its memory and the host's are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from gpu_clock import seconds_of, settle

MEGABYTE = 2**20
SIZES = (8, 32, 128)  # megabytes of one copy: what a worker sends is 8 to 32


class Link(NamedTuple):
    """Rates in bytes a second.

    Attributes:
        to_device, to_host: Pinned, one direction alone.
        both: Both directions at once, summed.
    """

    to_device: float
    to_host: float
    both: float

    def least_seconds(self, sent: int, fetched: int) -> float:
        """Return how long it takes at least to send and fetch so many bytes, both directions at once."""
        return max(sent / self.to_device, fetched / self.to_host, (sent + fetched) / self.both)


def measure_link(device: str, runs: int, sizes: Sequence[int] = SIZES) -> tuple[Link, list[list[str]]]:
    """Return the rates of the largest copies, and rows of a table with those of all."""
    rows = []
    for size in sizes:
        link = _link(device, size * MEGABYTE, runs)
        rows += [[f"{name}, pinned, {size} MiB", gigabytes(rate)] for name, rate in zip(_NAMES, link, strict=True)]
    return link, [*rows, *([name, gigabytes(rate)] for name, rate in _memories(device, sizes[-1] * MEGABYTE, runs))]


_NAMES = ("host to device", "device to host", "both at once, summed")


def gigabytes(rate: float) -> str:
    """Return a rate as the tables have it."""
    return f"{rate / 1e9:.1f}"


def first_use(device: str) -> float:
    """Return the seconds until a process that has imported torch can use the device."""
    started = time.perf_counter()
    torch.zeros(1, device=device)
    settle(device)
    return time.perf_counter() - started


def _link(device: str, nbytes: int, runs: int) -> Link:
    hosts = [_host(nbytes, device) for _ in range(2)]
    theirs = [torch.empty(nbytes, dtype=torch.uint8, device=device) for _ in range(2)]
    send, fetch = (
        _on_stream(device, lambda: theirs[0].copy_(hosts[0], non_blocking=True)),
        _on_stream(device, lambda: hosts[1].copy_(theirs[1], non_blocking=True)),
    )

    def both() -> None:
        send()
        fetch()

    rates = [nbytes / seconds_of(way, device, runs) for way in (send, fetch)]
    return Link(*rates, 2 * nbytes / seconds_of(both, device, runs))


def _on_stream(device: str, copy: Callable[[], Any]) -> Callable[[], Any]:
    """Return the copy, made on a stream of its own."""
    if not device.startswith("cuda"):
        return copy
    stream = torch.cuda.Stream(device)

    def run() -> None:
        with torch.cuda.stream(stream):
            copy()

    return run


def _host(nbytes: int, device: str) -> torch.Tensor:
    return torch.zeros(nbytes, dtype=torch.uint8, pin_memory=device.startswith("cuda"))


def _memories(device: str, nbytes: int, runs: int) -> Iterator[tuple[str, float]]:
    pageable, there = torch.zeros(nbytes, dtype=torch.uint8), torch.zeros(nbytes, dtype=torch.uint8, device=device)
    yield "host to device, pageable", nbytes / seconds_of(lambda: there.copy_(pageable), device, runs)
    yield "device to host, pageable", nbytes / seconds_of(lambda: pageable.copy_(there), device, runs)
    other = torch.empty_like(there)
    yield "device memory, read and written", 2 * nbytes / seconds_of(lambda: other.copy_(there), device, runs)
    second = torch.empty_like(pageable)
    yield "host memory, read and written", 2 * nbytes / seconds_of(lambda: second.copy_(pageable), "cpu", runs)
