"""T3 and DaWin over a benchmark: two members, what lies between them sample by sample, and the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError
from ...evaluation.inference import inference
from ...evaluation.predictor import PredictingTask, Predictor, predict
from .heads import own_heads
from .variants import Variant, variants

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...evaluation.outcome import Outcome
    from ...evaluation.task import Settings, Task
    from ..blending import Blending
    from ..bundle import Bundle
    from .heads import OwnHeads

FEW = 4  # distinct weights in a batch up to which each gets a merge of its own; above, samples go together
MIXED = "mixed outputs"


def evaluate_blended(bundle: Bundle, task: Task, settings: Settings) -> dict[str, Outcome]:
    """Evaluate a bundle of a pretrained model and an expert.

    Returns:
        Its outcome under the empty name; T3, T3_B, DaWin, constant weights, outputs mixed by the bundle's own weights,
        and both members, by name.

    Raises:
        UsageError: The benchmark is not one of classes.
        MergeError: The members do not fit it, or one another.
    """
    from ..blending import Blending  # torch's classes of networks

    if not isinstance(task, PredictingTask):
        what = f"{bundle.rule.name} merges by the outputs of classifiers, and this benchmark has no classes"
        raise UsageError(what, where=bundle.name, hint="evaluate its members one by one")
    heads = own_heads(bundle, task)
    first, second = (task.predictor(replace(member.load(), model=bundle.model)) for member in bundle.members)
    members = [predict(one, settings) for one in (first, second)]
    _check_heads(bundle, first, second, members)
    blending = Blending(first.module, second.module, where=bundle.name)
    found: dict[str, Outcome] = {}
    for variant in variants(bundle, *members):
        if heads is not None and variant.label == "T3":
            continue  # the text tower would run for every sample
        logits = blended_logits(blending, first, variant, settings, heads)
        found[variant.name] = _outcome(task, logits, first, variant, _notes(first, blending, heads))
        if not variant.name:
            settings.advance(len(logits))
            if not variant.extrapolates:  # what is mixed beyond 0 and 1 is no probability
                mixed = _mixed(members, variant.weights)
                found[MIXED] = task.score(mixed, first.head_label).with_notes([], variant.data_use)
    for member, one, logits in zip(bundle.members, (first, second), members, strict=True):
        found[member.role] = task.score(logits, one.head_label).with_notes(one.notes)
    return found


def blended_logits(
    blending: Blending, predictor: Predictor, variant: Variant, settings: Settings, heads: OwnHeads | None
) -> NDArray[np.float32]:
    """Return the logits [n, classes] of all samples, each through weights of its own."""
    import torch

    parts, start = [], 0
    with inference(settings.seed):
        for batch in predictor.batches():
            weights = variant.weights[start : start + predictor.size(batch)]
            parts.append(_batch(blending, predictor, batch, weights, heads))
            start += len(weights)
    found: NDArray[np.float32] = torch.cat(parts).numpy()
    return found


def _batch(
    blending: Blending, predictor: Predictor, batch: Any, weights: NDArray[np.float64], heads: OwnHeads | None
) -> Any:
    import numpy as np
    import torch

    distinct = np.unique(weights)
    if len(distinct) > FEW and heads is None:
        return blending.run(lambda chosen: predictor.logits(batch, chosen.tolist()), torch.from_numpy(weights))
    parts, order = [], []
    for weight in distinct:
        chosen = np.flatnonzero(weights == weight)
        with blending.uniform(float(weight)):
            headed = predictor if heads is None else heads.put_on(predictor, float(weight))
            parts.append(headed.logits(batch, chosen.tolist()))
        order.append(chosen)
    return torch.cat(parts)[torch.from_numpy(np.concatenate(order)).argsort()]


def _mixed(members: Sequence[NDArray[np.float32]], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the probabilities of both members, mixed sample by sample."""
    import numpy as np

    from ...evaluation.scoring import log_softmax

    one, two = (np.exp(log_softmax(logits)) for logits in members)
    mean = weights[:, None] * one + (1 - weights[:, None]) * two
    return np.log(np.maximum(mean, np.finfo(np.float64).tiny))


def _check_heads(bundle: Bundle, first: Predictor, second: Predictor, members: Sequence[NDArray[Any]]) -> None:
    classes = [logits.shape[1] for logits in members]
    if classes[0] != classes[1]:
        what = f"{bundle.members[0].name} has {classes[0]} classes and {bundle.members[1].name} has {classes[1]}"
        raise MergeError(what, where=bundle.name, hint="members need the same classes in the same order")
    if first.head_label != second.head_label:
        what = f"the members have other heads: {first.head_label} and {second.head_label}"
        raise MergeError(what, where=bundle.name)


def _outcome(
    task: PredictingTask, logits: NDArray[Any], predictor: Predictor, variant: Variant, notes: Sequence[str]
) -> Outcome:
    of_variant = [] if variant.label == "constant" else [variant.note]
    outcome = task.score(logits, predictor.head_label)
    return outcome.with_notes([*(() if variant.name else notes), *of_variant], variant.data_use)


def _notes(predictor: Predictor, blending: Blending, heads: OwnHeads | None) -> list[str]:
    """Return what a reader should know of the bundle's own row."""
    notes = [*predictor.notes]
    if heads is not None:
        notes.append("both towers are merged, for which there is no T3: the text tower would run for every sample")
    if blending.strategy == "one by one":
        notes.append("this network had to be merged for one sample at a time, which is slow")
    return notes
