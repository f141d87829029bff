"""What merging per sample costs on one network, in a process of its own that reports itself.

``python bundles_cost.py CASE WHAT BATCH RUNS DEVICE SIZE`` is that process. WHAT is ``time``: seconds of one forward,
of the merged one with a weight for every sample, and of the one with a weight for the batch, in turn; ``one``: bytes
held at the peak by one network and its forward; ``two``: by both networks, their forwards and the merged one. Memory is
counted beyond libraries and the batch itself.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from process_status import held

# So that what is freed goes back to the system at once, and the peak is what is held and not what was kept for later.
_RETURNED = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


class Cost(NamedTuple):
    """What a case took: seconds per batch, bytes."""

    strategy: str
    forward: float
    per_sample: float
    per_batch: float
    weights: int
    one: int
    two: int

    @property
    def t3(self) -> float:
        """Both members' forwards and the merged one, in forwards of one model."""
        return 2 + self.per_sample / self.forward

    @property
    def t3_batch(self) -> float:
        """The same with one weight per batch."""
        return 2 + self.per_batch / self.forward

    @property
    def models(self) -> float:
        """Memory beyond the activations of one forward, in models."""
        return (self.two - (self.one - self.weights)) / self.weights


def cost(name: str, batch: int, runs: int, device: str, size: str) -> Cost:
    """Measure a case in three processes."""
    timed = _process(name, "time", batch, runs, device, size, {})
    held = {what: _process(name, what, batch, 1, device, size, _RETURNED) for what in ("one", "two")}
    return Cost(**timed, one=held["one"]["peak"], two=held["two"]["peak"])


def _process(
    name: str, what: str, batch: int, runs: int, device: str, size: str, environment: dict[str, str]
) -> dict[str, Any]:
    command = [sys.executable, __file__, name, what, str(batch), str(runs), device, size]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class Measured:
    """One case in this process."""

    def __init__(self, name: str, batch: int, device: str, size: str) -> None:
        import bundles_networks as networks

        from merge.bundles.blending import Blending

        subject, self.size = networks.SUBJECTS[name], getattr(networks, size)
        self.device, self.clock = device, time.perf_counter if device.startswith("cuda") else time.process_time
        self.batch = subject.inputs(self.size, batch).to(device)
        self._logits, self.weights = subject.logits, torch.linspace(0.3, 0.8, batch)
        with torch.inference_mode():  # libraries are loaded, and make room for themselves
            subject.logits(
                networks.pair_of(name, networks.QUICK, device)[0], subject.inputs(networks.QUICK, 2).to(device)
            )
        self.before = self._held("VmRSS")
        self.members = networks.pair_of(name, self.size, device)
        self.bytes = sum(tensor.nbytes for tensor in self.members[0].state_dict().values())
        self.blending = Blending(*self.members, where=name)

    def member(self, number: int) -> None:
        """Run one of the two."""
        self._logits(self.members[number], self.batch)

    def per_sample(self) -> None:
        """Run the merged network with a weight for every sample."""
        self.blending.run(lambda indices: self._logits(self.members[0], self._chosen(indices)), self.weights)

    def _chosen(self, indices: Any) -> torch.Tensor:
        return self.batch if len(indices) == len(self.batch) else self.batch[indices]

    def per_batch(self) -> None:
        """Run the merged network with a weight for all samples."""
        with self.blending.uniform(0.6):
            self.member(0)

    def times(self, runs: int) -> dict[str, Any]:
        """Return the median seconds of each, one after another in every round, after a round that does not count."""
        ways: dict[str, Callable[[], None]] = {
            "forward": lambda: self.member(0),
            "per_sample": self.per_sample,
            "per_batch": self.per_batch,
        }
        seconds = [{name: self._seconds(way) for name, way in ways.items()} for _ in range(runs + 1)][1:]
        found = {name: statistics.median(turn[name] for turn in seconds) for name in ways}
        return found | {"strategy": self.blending.strategy, "weights": self.bytes}

    def _seconds(self, way: Callable[[], None]) -> float:
        started = self.clock()
        way()
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return self.clock() - started

    def peak(self, what: str) -> dict[str, int]:
        """Return the bytes held at the peak, by one network or by both."""
        self.member(0)
        if what == "two":
            self.member(1)
            self.per_sample()
        dropped = self.bytes if what == "one" else 0  # the other network, held but not needed
        return {"peak": self._held("VmHWM") - self.before - dropped}

    def _held(self, what: str) -> int:
        """Return bytes: what is held now (VmRSS), or was at the peak (VmHWM)."""
        if self.device.startswith("cuda"):
            return torch.cuda.memory_allocated() if what == "VmRSS" else torch.cuda.max_memory_allocated()
        return held(what)


def main() -> None:
    """Measure one case, and print what it took as JSON."""
    name, what, batch, runs, device, size = sys.argv[1:]
    measured = Measured(name, int(batch), device, size)
    with torch.inference_mode():
        print(json.dumps(measured.times(int(runs)) if what == "time" else measured.peak(what)))


if __name__ == "__main__":
    main()
