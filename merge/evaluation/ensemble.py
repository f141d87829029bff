"""The ensemble of models: the comparator of every soup, at the price of running all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import MergeError
from .scoring import log_softmax

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .results import Ensemble


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
