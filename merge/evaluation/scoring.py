"""A classifier over labelled images: what is kept of each, so that all metrics and tests derive from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import MergeError
from .images import batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .classifier import Classifier
    from .data import LabelledImages
    from .results import Ensemble
    from .specification import Benchmark


@dataclass(frozen=True)
class Outcome:
    """One model on one benchmark, image by image: was it right [n], and the cross-entropy in nats [n]."""

    correct: NDArray[np.bool_]
    losses: NDArray[np.float64]


def run(
    classifier: Classifier, data: LabelledImages, benchmark: Benchmark, *, batch_size: int, seed: int
) -> NDArray[np.float32]:
    """Return the logits [n, classes] of every image.

    Raises:
        MergeError: The outputs are not finite, or have fewer classes than the labels.
    """
    import torch

    parts: list[Tensor] = []
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(seed)  # for the rare model that draws at random even when evaluated
        for pixels in batches(data.images, benchmark, classifier.expects, batch_size):
            parts.append(classifier.logits(pixels))
            _check_classes(parts[0], data, classifier.name)
    logits: NDArray[np.float32] = torch.cat(parts).numpy()
    return logits


def score(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> Outcome:
    """Compare logits [n, classes] with labels [n]; the lowest class wins among equals."""
    import numpy as np

    losses = -log_softmax(logits)[np.arange(len(labels)), labels]
    return Outcome(correct=logits.argmax(axis=1) == labels, losses=losses)


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the logarithms of the probabilities [n, classes] in float64."""
    import numpy as np

    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


@dataclass
class Average:
    """The ensemble so far: the sum of the members' logits, or of their probabilities, [n, classes]."""

    kind: Ensemble
    members: list[str]
    total: NDArray[np.float64] | None = None

    @property
    def name(self) -> str:
        """What stands for it in the column of models."""
        return f"ensemble({self.kind})"

    def add(self, logits: NDArray[np.floating], member: str) -> None:
        """Add one member. Raises MergeError when it has other classes than the members before it."""
        import numpy as np

        outputs = logits.astype(np.float64) if self.kind == "logits" else np.exp(log_softmax(logits))
        if self.total is not None and outputs.shape != self.total.shape:
            what = f"{outputs.shape[1]} classes, but {self.members[0]} has {self.total.shape[1]}"
            raise MergeError(what, where=member, hint="an ensemble needs the same classes in every model")
        self.total = outputs if self.total is None else self.total + outputs
        self.members.append(member)

    def logits(self) -> NDArray[np.float64]:
        """Return logits whose softmax is the ensemble: the mean logits, or the logarithm of the mean probabilities."""
        import numpy as np

        assert self.total is not None  # noqa: S101 -- evaluate() asks after at least one member
        mean = self.total / len(self.members)
        return mean if self.kind == "logits" else np.log(np.maximum(mean, np.finfo(np.float64).tiny))


def _check_classes(logits: Tensor, data: LabelledImages, model: str) -> None:
    if logits.ndim != 2:
        raise MergeError(f"logits have shape {list(logits.shape)}; [images, classes] is expected", where=model)
    classes, highest = logits.shape[1], int(data.labels.max())
    if highest >= classes:
        what = f"the benchmark has the label {highest}, the model has {classes} classes (0 to {classes - 1})"
        raise MergeError(what, where=model)
