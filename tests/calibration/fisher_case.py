"""What the tests of Fisher information share: networks with data in memory, and plain loops to compare with."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open

from merge.calibration.declared import FisherCalibration
from merge.calibration.feeds import sample_from_tensors, subject_from_module
from merge.calibration.fisher import compute_fisher
from merge.calibration.storing import Store
from merge.calibration.subject import IGNORED
from merge.evaluation.candidate import Candidate
from merge.evaluation.task import Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))


@dataclass
class Case:
    """A network with its data, in the place of a model's name and ``--data``."""

    module: Any
    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor | None = None
    predicts: str = "classes"
    forward: Any = None
    names: Any = None
    sample_type: Any = None
    about: dict[str, Any] = field(default_factory=lambda: {"name": "case"})

    def subject(self, candidate: Any = None, settings: Any = None) -> Any:
        return subject_from_module("model", self.module, self.forward, self.names, self.predicts)

    def sample(self, subject: Any, count: int, draw: str, settings: Any) -> Any:
        inputs = {name: tensor[:count] for name, tensor in self.inputs.items()}
        labels = None if self.labels is None else self.labels[:count]
        sample = sample_from_tensors(inputs, labels, about=self.about)
        return self.sample_type(sample) if self.sample_type else sample


def fisher(case, out, *, seed=0, batch_size=4, notes=None, resume=False, seconds=None, dtype="float64", **options):
    """Compute and return the tensors and facts of a case."""
    candidate = Candidate("model", {}, None, "id-of-the-model")
    settings = Settings(batch_size=batch_size, seed=seed)
    notes = [] if notes is None else notes
    with Store(out, force=True, resume=resume, dtype=dtype, seconds=seconds) as store:
        facts = compute_fisher(candidate, case, FisherCalibration(**options), settings, store, notes.append)
    with safe_open(out, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 -- it is no mapping


def drawn(log_p, counted, seed, item):
    """Labels of one item, by the rule that the documentation gives."""
    generator = np.random.Generator(np.random.Philox(key=[seed, item]))
    labels = torch.zeros(len(log_p), dtype=torch.long)
    for position in counted.nonzero().flatten().tolist():
        ends = log_p[position].exp().cumsum(0)
        labels[position] = torch.searchsorted(ends, float(generator.random()) * float(ends[-1]), right=True)
    return labels


def plain_loop(case, labels, *, seed=0, per="example"):
    """Return the Fisher information by one backward pass after another, by the module's own names."""
    subject = case.subject()
    parameters = dict(subject.module.named_parameters())
    total = {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}
    count = len(next(iter(case.inputs.values())))
    divisor = 0

    def add(output, weight=1.0):
        found = torch.autograd.grad(output, list(parameters.values()), retain_graph=True, allow_unused=True)
        for name, gradient in zip(parameters, found, strict=True):
            if gradient is not None:
                total[name] += weight * gradient**2

    for item in range(count):
        logits = subject.logits({name: tensor[item : item + 1] for name, tensor in case.inputs.items()})[0]
        tokens = case.predicts == "tokens"
        rows = logits if tokens else logits[None]
        log_p = rows.log_softmax(-1)
        counted = case.labels[item] != IGNORED if tokens else torch.ones(1, dtype=torch.bool)
        divisor += int(counted.sum()) if per == "token" else 1
        if labels == "exact":
            for position in counted.nonzero().flatten():
                for one in log_p[position]:
                    add(one, one.detach().exp())
            continue
        own = None if case.labels is None else case.labels[item].reshape(-1)
        chosen = drawn(log_p.detach(), counted, seed, item) if labels == "sampled" else own
        add(sum(log_p[position, chosen[position]] for position in counted.nonzero().flatten()))
    return {name: tensor / divisor for name, tensor in total.items()}
