"""aTLAS: coefficients of task vectors by gradient descent, and the best of what came up on the way.

Zhang et al. 2024, "Knowledge composition using task vectors with learned anisotropic scaling", arXiv:2407.02880, with
AdaMerging (Yang et al. 2024, arXiv:2310.02575) as the case of an entropy on unlabeled inputs. Where the authors' code
goes wrong, it is not followed: tensors are matched by name and not by place; random parts are drawn for tensors of
every shape, each for itself; the gradient is clipped as it is, not scaled; predictions are taken as labels without a
sharpening that changes nothing; and zero, the base, is a candidate of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import MergeError
from .coefficients import Coefficients
from .tasks import add_to
from .trials import EPOCH, UNIFORM, ZERO, Trial, Trials

if TYPE_CHECKING:
    from torch import Tensor

    from .presets import Choice
    from .tasks import DataTask
    from .vectors import TaskVectors


@dataclass(frozen=True)
class Learned:
    """What a search for coefficients came to.

    Attributes:
        best: The best candidate.
        zero: The base.
        uniform: The best candidate with one coefficient for all.
        trials: All candidates with their scores, for reports.
        history: The loss of every step, summed over the tasks.
        untouched: Tensors that never had a gradient.
    """

    best: Trial
    zero: Trial
    uniform: Trial
    trials: list[dict[str, Any]]
    history: list[float]
    untouched: list[str] = field(default_factory=list)


def learn(
    vectors: TaskVectors,
    tasks: Sequence[DataTask],
    validation: Sequence[DataTask],
    choice: Choice,
    *,
    seed: int = 0,
    labels: bool | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> Learned:
    """Learn coefficients, and score them after every epoch.

    Args:
        vectors: The task vectors.
        tasks: What is learned from; their losses are summed.
        validation: What candidates are scored on.
        choice: How to learn.
        seed: Of the order of the batches and of changed views.
        labels: Whether labels of the validation data count; None: where the objective is supervised.
        note: Told what is worth knowing before it starts.

    Raises:
        MergeError: The network does not run, or gives numbers that are not finite.
        UsageError: The data lacks labels that are needed.
    """
    shape = (len(vectors), vectors.blocks if choice.per == "tensor" else 1, choice.partitions)
    trials = Trials(vectors, validation, shape, labels=choice.is_supervised if labels is None else labels)
    trials.before()
    order = list(_steps(tasks, choice, seed))
    note(_cost(len(order), vectors))
    history, seen = _descend(vectors, tasks, choice, trials, order, shape, seed)
    untouched = [row.name for row in vectors.rows if row.name not in seen and row.name not in vectors.tied]
    return Learned(trials.best, trials.best_of(ZERO), trials.best_of(UNIFORM), trials.rows, history, untouched)


def _cost(steps: int, vectors: TaskVectors) -> str:
    kept = len(vectors) + 1 - vectors.streamed
    return (
        f"{steps} steps; {kept} of {len(vectors) + 1} models stay in memory, {vectors.streamed} are read twice a step"
    )


def _steps(tasks: Sequence[DataTask], choice: Choice, seed: int) -> Iterator[tuple[list[int], bool]]:
    """Yield the batches of every step, one number for each task, and whether an epoch ends with it.

    An epoch goes once through the longest data; the batches of each come in a new order every time.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    counts = [task.steps(choice.batch) for task in tasks]
    longest = max(counts)
    total = choice.steps or (choice.epochs or 1) * longest
    queues: list[list[int]] = [[] for _ in tasks]
    for step in range(1, total + 1):
        for queue, count in zip(queues, counts, strict=True):
            if not queue:
                queue += generator.permutation(count).tolist()
        yield [queue.pop() for queue in queues], step % longest == 0 or step == total


def _descend(
    vectors: TaskVectors,
    tasks: Sequence[DataTask],
    choice: Choice,
    trials: Trials,
    order: Sequence[tuple[list[int], bool]],
    shape: tuple[int, int, int],
    seed: int,
) -> tuple[list[float], set[str]]:
    """Go through all steps; returns the loss of each, and the names of the tensors that had a gradient."""
    coefficients = Coefficients(_start(trials, choice, shape), choice, len(order))
    history: list[float] = []
    seen: set[str] = set()
    epoch = 0
    for batches, is_end in order:
        tensors = vectors.scaled(coefficients.values())
        loss, gradient = _gradient(vectors, tasks, tensors, choice, batches, seed + len(history))
        coefficients.step(vectors.derivative(gradient, shape))
        history.append(loss)
        seen |= set(gradient)
        if is_end:
            epoch += 1
            trials.add(EPOCH, epoch, coefficients.values())
    if not seen:
        raise MergeError("no tensor of the task vectors has a gradient on this data, so nothing can be learned")
    return history, seen


def _start(trials: Trials, choice: Choice, shape: tuple[int, int, int]) -> Tensor:
    import torch

    if choice.start == "uniform":
        return trials.best_of(UNIFORM).coefficients
    return torch.full(shape, float(choice.start), dtype=torch.float64)


def _gradient(
    vectors: TaskVectors,
    tasks: Sequence[DataTask],
    tensors: dict[str, Tensor],
    choice: Choice,
    batches: Sequence[int],
    seed: int,
) -> tuple[float, dict[str, Tensor]]:
    """Return the summed loss of one step, and its gradient by the tensors of the model."""
    total = 0.0
    found: dict[str, Tensor] = {}
    names = [name for name in tensors if name not in vectors.tied]
    for task, batch in zip(tasks, batches, strict=True):
        task.write(tensors)
        loss, gradient = task.gradient(names, choice, batch, seed)
        total += loss
        add_to(found, gradient)
    return total, found
