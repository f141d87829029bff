"""Benchmarks that do what worker processes must bear; a module of its own, so that they can import it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from merge.evaluation.candidate import Candidate
from merge.evaluation.outcome import Measure, Outcome
from merge.evaluation.task import Settings


@dataclass(frozen=True)
class Odd:
    """A benchmark that keeps a file where files are wanted, and can kill the process that runs it for the first time.

    Attributes:
        died: A file that says that this has happened; None: it never does.
    """

    name: str
    died: Path | None = None
    kind: str = "classification"
    split: str = "test"
    where: str = "odd.yaml"

    def prepare(self, settings: Settings) -> OddTask:
        return OddTask(self, settings)


@dataclass(frozen=True)
class OddTask:
    benchmark: Odd
    settings: Settings
    n: int = 2

    def evaluate(self, candidate: Candidate) -> Outcome:
        died = self.benchmark.died
        if died is not None and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.settings.output is not None:
            file = self.settings.output / "lm-eval" / candidate.name / f"results_{self.benchmark.name}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(candidate.name)
        total = float(sum(tensor.double().sum() for tensor in candidate.tensors.values()))
        return Outcome((Measure("loss", total, total, total, 2),), np.array([total, total]), "loss")
