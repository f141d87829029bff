"""How good a scaled model is on data: what candidates are compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import MergeError
from ..evaluation.outcome import LOWER_IS_BETTER
from ..search.greedy import TIE, Score
from ..search.objective import Objective
from .losses import cross_entropy, entropy

if TYPE_CHECKING:
    from torch import Tensor

    from ..evaluation.outcome import Measure
    from .tasks import DataTask


@dataclass(frozen=True)
class Found:
    """What one candidate came to.

    Attributes:
        score: The mean over the tasks: accuracy; loss where tokens are predicted; entropy where there are no labels.
        loss: The mean of cross-entropy or entropy, by which equal scores are told apart.
        by_task: The score of each task.
    """

    score: Score
    loss: float
    by_task: tuple[Measure, ...]

    def gain(self, other: Found) -> float:
        """Return by how much the score is better than another one's; rounding does not count."""
        gain = self.score.value - other.score.value
        gain = -gain if self.score.metric in LOWER_IS_BETTER else gain
        return gain if abs(gain) > TIE else 0.0

    def beats(self, other: Found) -> bool:
        """Tell whether it is better, or as good with a lower loss."""
        gain = self.gain(other)
        return gain > 0 or (gain == 0 and self.loss < other.loss)

    def as_json(self) -> dict[str, Any]:
        """Return it for reports."""
        return {**self.score.as_json(), "loss": self.loss, "tasks": [_as_json(one) for one in self.by_task]}


def _as_json(measure: Measure) -> dict[str, Any]:
    interval = [measure.low, measure.high]
    return {"metric": measure.metric, "value": measure.value, "interval": interval, "n": measure.n}


def score(tasks: Sequence[DataTask], tensors: Mapping[str, Tensor], *, labels: bool) -> Found:
    """Score a model on every task, each of which counts once.

    Args:
        tasks: The data.
        tensors: The model's tensors; others keep the values that the networks have.
        labels: Whether labels count; else only the entropy of the predictions does.

    Raises:
        MergeError: The model does not run, or gives numbers that are not finite.
        UsageError: Labels count, and there are none.
    """
    measures, losses = [], []
    for task in tasks:
        task.write(tensors)
        measure, loss = _measure(task, labels=labels)
        measures.append(measure)
        losses.append(loss)
    return Found(Objective.mean(measures), sum(losses) / len(losses), tuple(measures))


def _measure(task: DataTask, *, labels: bool) -> tuple[Measure, float]:
    import torch

    from ..evaluation.metrics import accuracy

    right, losses = [], []
    with torch.no_grad():
        for batch in task.items.batches(task.batch_size):
            logits = task.subject.logits(batch.inputs)
            if not logits.isfinite().all():
                raise MergeError("the model gives logits that are not finite (nan or inf)", where=task.name)
            found = cross_entropy(logits, batch.labels, task.name) if labels else entropy(logits, batch.labels)
            losses.append(found.double().cpu())
            if labels and batch.labels is not None and logits.ndim == 2:
                right.append(logits.argmax(-1).cpu() == batch.labels)
            task.advance(len(batch))
    values = torch.cat(losses)
    main = accuracy(torch.cat(right).numpy()) if right else _mean(values, "loss" if labels else "entropy")
    return main, values.mean().item()


def _mean(values: Tensor, metric: str) -> Measure:
    """Return the mean of losses with the normal interval; of one alone, there is none."""
    from dataclasses import replace

    from ..evaluation.metrics import loss
    from ..evaluation.outcome import Measure

    if len(values) < 2:
        return Measure(metric, values.mean().item(), values.mean().item(), values.mean().item(), len(values))
    return replace(loss(values.numpy()), metric=metric)
