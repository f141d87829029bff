"""A mixture of experts over a benchmark: classifiers one after another, language models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError
from ...evaluation.language.task import LanguageTask
from ...evaluation.predictor import PredictingTask, predict
from ..combine import combined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...evaluation.outcome import Outcome
    from ...evaluation.task import Settings, Task
    from ..bundle import Bundle
    from ..rules.moe import MoeOptions


def evaluate_mixture(bundle: Bundle, task: Task, settings: Settings) -> dict[str, Outcome]:
    """Evaluate a mixture, and beside it its experts.

    Raises:
        UsageError: The benchmark is neither one of classes nor one of language models.
        MergeError: The experts do not fit it, or one another.
    """
    if isinstance(task, PredictingTask):
        return _of_classifiers(bundle, task, settings)
    if isinstance(task, LanguageTask):
        return _of_language(bundle, task)
    raise UsageError("a mixture has no meaning for a benchmark of this kind", where=bundle.name)


def _of_classifiers(bundle: Bundle, task: PredictingTask, settings: Settings) -> dict[str, Outcome]:
    """Run one expert after another; only one is in memory at a time."""
    options: MoeOptions = bundle.options
    outputs: list[NDArray[np.float32]] = []
    beside: dict[str, Outcome] = {}
    label = ""
    for member in bundle.members:
        predictor = task.predictor(replace(member.load(), model=bundle.model))
        logits = predict(predictor, settings)
        if outputs and logits.shape[1] != outputs[0].shape[1]:
            what = f"{member.name} has {logits.shape[1]} classes, {bundle.members[0].name} has {outputs[0].shape[1]}"
            raise MergeError(what, where=bundle.name, hint="experts need the same classes in the same order")
        outputs.append(logits)
        label = predictor.head_label
        beside[member.role] = task.score(logits, label).with_notes(predictor.notes)
    names = [member.name for member in bundle.members]
    mixture = combined((logits.astype("float64") for logits in outputs), options.combination, names)
    settings.advance(len(mixture))
    return {"": task.score(mixture, label), **beside}


def _of_language(bundle: Bundle, task: LanguageTask) -> dict[str, Outcome]:
    """Run the experts one by one, then all as one language model.

    Each is built once, and its tensors are let go then; that they fit together is seen before any of them runs.
    """
    models = [task.model(replace(member.load(), model=bundle.model)) for member in bundle.members]
    mixture = mixture_of(models, bundle.options, bundle.name)
    folders = [member.folder for member in bundle.members]
    parts = zip(bundle.members, models, folders, strict=True)
    beside = {member.role: task.run(model, folder) for member, model, folder in parts}
    return {"": task.run(mixture, folders[0]), **beside}


def mixture_of(models: Sequence[Any], options: MoeOptions, name: str) -> Any:
    """Return several language models as one.

    Args:
        models: Each a `LanguageModel`, with its tokenizer.
        options: Of the mixture.
        name: What messages call it.

    Raises:
        MergeError: Their vocabularies differ, or they do not predict the next token.
    """
    from .language_mixture import language_mixture

    return language_mixture(models, options.combination, options.align, name)
