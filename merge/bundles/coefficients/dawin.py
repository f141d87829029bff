"""DaWin: weights of fine-tuned models from how sure each model is of a sample (Oh et al. 2025, arXiv:2410.03782).

    a(x) = exp(-H_expert(x)) / (exp(-H_pretrained(x)) + exp(-H_expert(x)))

with entropies H in nats at calibrated temperatures. The published code (naver-ai/dawin) adds an offset that is computed
over the whole test set, without labels: results then depend on which samples are tested together (transductive).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError
from .divergence import entropies
from .logits import EXPERT, PRETRAINED, check_members, check_temperature

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

TASK_SCALE = 0.3  # of task vectors, in the form for several tasks


@dataclass(frozen=True)
class DawinOptions:
    """How entropies become coefficients.

    Attributes:
        temperatures: What the logits of the pretrained model and of the expert are divided by. The paper fits them on
            held-out data; for its CLIP ViT-B/32 they are 0.9576 and 0.9733.
        offset: Whether the offset over the whole test set is added.

    Raises:
        UsageError: A temperature is not above 0.
    """

    temperatures: tuple[float, float] = (1.0, 1.0)
    offset: bool = True

    def __post_init__(self) -> None:
        for name, temperature in zip((PRETRAINED, EXPERT), self.temperatures, strict=True):
            check_temperature(temperature, name)


@dataclass(frozen=True)
class Offset:
    """What is added to both sides of the ratio.

    Attributes:
        b: The mean of the two models' coefficients of variation; 0 leaves the ratio alone.
        w: By how much less than ``b`` the expert's side gets: (mean H_pretrained + mean H_expert) / mean H_pretrained.
    """

    b: float
    w: float

    @property
    def of_expert(self) -> float:
        """What the expert's side gets."""
        return self.b / self.w


NO_OFFSET = Offset(0.0, 2.0)


def offset_of(pretrained: NDArray[np.float64], expert: NDArray[np.float64]) -> Offset:
    """Return the offset from the entropies [n] of both models over the whole test set.

    Standard deviations are the unbiased ones. One sample has none, and models that are always sure have no mean to
    divide by: these terms count as 0.
    """
    means = float(pretrained.mean()), float(expert.mean())
    spreads = [_variation(of_model) for of_model in (pretrained, expert)]
    if means[0] == 0:
        return Offset(sum(spreads) / 2, float("inf") if means[1] else 2.0)
    return Offset(sum(spreads) / 2, sum(means) / means[0])


def dawin_coefficients(
    pretrained: NDArray[Any], expert: NDArray[Any], options: DawinOptions | None = None
) -> NDArray[np.float64]:
    """Return the weight [n] of the expert for every sample of a test set, from the logits [n, classes] of both models.

    Raises:
        MergeError: No samples, logits that are not finite, or other numbers of classes or samples.
    """
    import numpy as np

    options = options or DawinOptions()
    check_members({PRETRAINED: pretrained, EXPERT: expert})
    of_pretrained = entropies(pretrained, temperature=options.temperatures[0], name=PRETRAINED)
    of_expert = entropies(expert, temperature=options.temperatures[1], name=EXPERT)
    offset = offset_of(of_pretrained, of_expert) if options.offset else NO_OFFSET
    sure, surer = np.exp(-of_pretrained), np.exp(-of_expert)
    return (surer + offset.of_expert) / (sure + surer + offset.b)


def task_coefficients(
    members: Mapping[str, NDArray[np.float64]], scale: float = TASK_SCALE
) -> dict[str, NDArray[np.float64]]:
    """Return the coefficient [n] of every task vector: scale * T * softmax over the T tasks of -H.

    The merged weights are then theta_0 + sum of coefficient * (theta_t - theta_0). The tasks' coefficients add up to
    scale * T for every sample.

    Args:
        members: What each expert is called ▸ its entropies [n] over the same samples, by ``entropies``; each expert has
            its own classes, so that logits cannot be compared.
        scale: Coefficient of task arithmetic when all experts are equally sure.

    Raises:
        UsageError: There is no expert.
        MergeError: No samples, other numbers of them, or entropies that are not finite.
    """
    import numpy as np
    from scipy.special import softmax

    if not members:
        raise UsageError("no expert to weigh")
    _check_entropies(members)
    shares = softmax(-np.stack([*members.values()]), axis=0)
    return dict(zip(members, scale * len(members) * shares, strict=True))


def _check_entropies(members: Mapping[str, NDArray[np.float64]]) -> None:
    import numpy as np

    first_name, first = next(iter(members.items()))
    for name, values in members.items():
        if values.ndim != 1 or len(values) == 0:
            raise MergeError(f"entropies of {name} have shape {list(values.shape)}; one of at least one sample is due")
        if len(values) != len(first):
            raise MergeError(f"{name} has entropies of {len(values)} samples, but {first_name} of {len(first)}")
        if not np.isfinite(values).all():
            raise MergeError(f"entropies of {name} are not finite")


def _variation(entropies_of_model: NDArray[np.float64]) -> float:
    """Return standard deviation over mean."""
    mean = float(entropies_of_model.mean())
    if len(entropies_of_model) == 1 or mean == 0:
        return 0.0
    return float(entropies_of_model.std(ddof=1)) / mean
