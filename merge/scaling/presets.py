"""How coefficients are learned: presets, and what was given in their place.

The preset ``atlas`` is that of the authors' few-shot experiments (Zhang et al. 2024, arXiv:2407.02880), without labels
with the rate of their test-time adaptation. The two presets of AdaMerging (Yang et al. 2024, arXiv:2310.02575) start
at 0.3, keep coefficients between 0 and 1, and minimize the entropy of the predictions on unlabeled inputs; the
authors take the inputs of the test set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError
from ..recipe import parse_size

if TYPE_CHECKING:
    from ..calibration.declared import ScalingCalibration

SUPERVISED, ENTROPY, PSEUDO_LABELS = "supervised", "entropy", "pseudo-labels"
UNLABELED_RATE = 1e-3


class _Preset(NamedTuple):
    objective: str
    per: str
    start: float
    bounded: bool
    epochs: int | None
    steps: int | None
    batch: int
    learning_rate: float
    cosine: bool
    weight_decay: float
    clip: float | None


_PRESETS = {
    "atlas": _Preset(SUPERVISED, "tensor", 0.0, False, 10, None, 128, 0.1, True, 0.1, 1.0),
    "task-wise-adamerging": _Preset(ENTROPY, "model", 0.3, True, None, 1000, 16, 1e-3, False, 0.0, None),
    "layer-wise-adamerging": _Preset(ENTROPY, "tensor", 0.3, True, None, 1000, 16, 1e-3, False, 0.0, None),
}


@dataclass(frozen=True)
class Choice:
    """How to learn.

    Attributes:
        objective: ``supervised``, ``entropy`` or ``pseudo-labels``.
        per: ``tensor``: a coefficient for each task vector and tensor; ``model``: for each task vector.
        partitions: Random parts of each tensor, each with coefficients of its own.
        start: Coefficient that all start with; ``uniform``: the best one that is the same for all.
        bounded: Whether coefficients stay between 0 and 1.
        epochs: Passes over the longest of the data; None where ``steps`` are given.
        steps: Steps of the descent.
        batch: Items of each set of data in a step.
        learning_rate: Of AdamW.
        cosine: Whether the rate falls to 0 along half a cosine.
        weight_decay: Pulls coefficients to 0, which is the base.
        clip: Largest norm of the coefficients' gradient; None: it is not clipped.
        regularizer: ``none``, ``l1`` or ``l2``: half the mean norm over the task vectors of a part is added.
        threshold: Confidence from which on a prediction counts as a label.
        strong: ``shift`` or ``none``: what the network has to see through where predictions are the labels.
        held_out: Share of labelled data that selects and does not teach, where no other data does.
        memory: Bytes that the models may take up; the others are read again in every step.
    """

    objective: str = SUPERVISED
    per: str = "tensor"
    partitions: int = 1
    start: float | str = 0.0
    bounded: bool = False
    epochs: int | None = 10
    steps: int | None = None
    batch: int = 128
    learning_rate: float = 0.1
    cosine: bool = True
    weight_decay: float = 0.1
    clip: float | None = 1.0
    regularizer: str = "none"
    threshold: float = 0.99
    strong: str = "shift"
    held_out: float = 0.2
    memory: int = 4 * 10**9

    @property
    def is_supervised(self) -> bool:
        """Whether it learns from labels."""
        return self.objective == SUPERVISED


def choice_of(options: ScalingCalibration) -> Choice:
    """Return the preset with what was given in its place.

    Raises:
        UsageError: The options do not go together.
    """
    preset = _PRESETS[options.preset]
    objective = options.objective or preset.objective
    if options.epochs is not None and options.steps is not None:
        raise UsageError("epochs and steps both say how long to learn", hint="give one of them")
    _check_objective(options, objective)
    rate = UNLABELED_RATE if objective != SUPERVISED else preset.learning_rate
    is_preset = options.epochs is None and options.steps is None
    return Choice(
        objective=objective,
        per=preset.per,
        start=_start(options.start, preset),
        bounded=preset.bounded,
        epochs=preset.epochs if is_preset else options.epochs,
        steps=preset.steps if is_preset else options.steps,
        batch=options.batch or preset.batch,
        learning_rate=options.learning_rate or rate,
        cosine=preset.cosine,
        weight_decay=preset.weight_decay if options.weight_decay is None else options.weight_decay,
        clip=preset.clip,
        memory=parse_size(options.memory, where="memory"),
        partitions=options.partitions,
        regularizer=options.regularizer,
        threshold=options.threshold,
        strong=options.strong,
        held_out=options.held_out,
    )


def _start(given: str | None, preset: _Preset) -> float | str:
    if given is None:
        return preset.start
    return "uniform" if given == "uniform" else 0.0


def _check_objective(options: ScalingCalibration, objective: str) -> None:
    """Refuse what would be ignored."""
    declared = options.declarations
    for name in ("threshold", "strong"):
        if objective != PSEUDO_LABELS and getattr(options, name) != declared[name].default:
            hint = f"leave it out, or choose the objective {PSEUDO_LABELS}"
            raise UsageError(f"{name} is for pseudo-labels, and the objective is {objective}", hint=hint)
    has_own = options.validation is not None or objective != SUPERVISED
    if has_own and options.held_out != declared["held_out"].default:
        why = "validation gives other data" if options.validation is not None else f"{objective} needs no labels"
        raise UsageError(f"held_out has no meaning, since {why}", hint="leave it out")
