"""The three stages of a benchmark: as it was read, with its data in memory, and run over one model after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .candidate import Candidate
    from .outcome import Outcome

Advance = Callable[[int], None]
Precision = Literal["float32", "bfloat16"]


def _ignore(items: int) -> None:
    """Advance nothing."""


@dataclass(frozen=True)
class Settings:
    """How to run, the same for all models and benchmarks.

    Attributes:
        model: Architecture of all the models by ``--model``; None: the ``config.json`` beside the weights.
        device: A torch device.
        batch_size: Items at a time.
        seed: For models, corruptions and resampling that draw at random.
        precision: Type that the network computes in; scores are float32 or better always.
        skip_broken: Leave out items that cannot be read, and count them, instead of refusing.
        advance: Called with every number of items that a model is done with.
        output: Folder for files that a benchmark makes of its own; put beside the report, if there is one, at its end.
    """

    model: str | None = None
    device: str = "cpu"
    batch_size: int = 256
    seed: int = 0
    precision: Precision = "float32"
    skip_broken: bool = False
    advance: Advance = field(default=_ignore, compare=False)
    output: Path | None = None


class Benchmark(Protocol):
    """A benchmark as a file describes it; nothing of its data is read yet.

    Attributes:
        name: How rows are told apart.
        kind: ``classification``, ``zero-shot``, ``lm-eval`` or ``perplexity``.
        split: The part of the data that is used.
        where: The file, for messages.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def split(self) -> str: ...  # noqa: D102
    @property
    def where(self) -> str: ...  # noqa: D102

    def prepare(self, settings: Settings) -> Task:
        """Load the data and whatever is computed once for all models.

        Raises:
            UsageError: The data is not what the benchmark says.
            MergeError: It cannot be loaded.
        """


class Task(Protocol):
    """A benchmark with its data in memory."""

    @property
    def n(self) -> int:
        """How many items there are."""

    def evaluate(self, candidate: Candidate) -> Outcome:
        """Run one model over all items.

        Raises:
            MergeError: The model does not fit the benchmark, or gives outputs that are not finite.
            UsageError: Nothing says what architecture it has.
        """


@runtime_checkable
class ScoringTask(Task, Protocol):
    """A task over classes: any logits [n, classes] can be scored, those of an ensemble too."""

    def score(self, logits: NDArray[np.floating], name: str) -> Outcome:
        """Compare logits with the labels; ``name`` stands for the head."""


class Gradients(Protocol):
    """A network whose weights are exchanged between steps: what learned soups descend on."""

    def step(
        self, tensors: Mapping[str, Tensor], items: NDArray[np.int64], temperature: float
    ) -> tuple[float, dict[str, Tensor], float]:
        """Return loss, gradient by tensor name, and the derivative with respect to the temperature.

        Args:
            tensors: Weights by the checkpoint's names; those that are left out keep their values.
            items: Which items form the batch.
            temperature: Multiplies the logits before the cross-entropy, whose mean over the batch is the loss.

        Raises:
            MergeError: The loss is not finite.
        """


@runtime_checkable
class GradientTask(Task, Protocol):
    """A task whose loss has a gradient with respect to the weights."""

    def differentiate(self, candidate: Candidate) -> Gradients:
        """Build the candidate's network once, for many steps."""
