"""Which Fisher information is asked for: labels, gradients and divisor, checked against one another and the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UsageError

if TYPE_CHECKING:
    from ..declared import FisherCalibration
    from ..subject import Subject

EXACT_CLASSES = 64  # up to this many classes, one backward pass for each is worth it
EXACT, SAMPLED, EMPIRICAL, AUTO = "exact", "sampled", "empirical", "auto"


@dataclass(frozen=True)
class Request:
    """What is asked of every item.

    Attributes:
        labels: ``exact``, ``sampled`` or ``empirical``; no longer ``auto``.
        summed: Whether the gradient of a batch's sum is squared, instead of each item's.
        per_token: Whether the divisor is the number of predicted tokens, instead of items.
        tokens: Whether the model predicts a token for each position, instead of one class for each item.
        classes: How many classes, or tokens of the vocabulary.
        seed: Of the sampled labels.
    """

    labels: str
    summed: bool
    per_token: bool
    tokens: bool
    classes: int
    seed: int


def check_options(options: FisherCalibration) -> None:
    """Refuse options that no model can satisfy together; nothing is loaded for that.

    Raises:
        UsageError: Summed gradients without sampled labels.
    """
    if options.gradients == "summed" and options.labels in (EXACT, EMPIRICAL):
        what = f"summed gradients need sampled labels, not {options.labels} ones"
        why = "only the scores of labels drawn independently average out between items"
        raise UsageError(what, hint=f"{why}; leave --gradients at per-example, or give --labels sampled")


def check_subject(options: FisherCalibration, subject: Subject) -> None:
    """Refuse a network whose predictions are not what the options speak of, before any data are read.

    Raises:
        UsageError: It predicts nothing, or no tokens.
    """
    if subject.predicts == "nothing":
        hint = "give the data a fixed head ('head: file.safetensors#NAME') or class names ('kind: zero-shot')"
        raise UsageError(
            "the model has no head, and Fisher information is that of predictions", where=subject.name, hint=hint
        )
    if options.per == "token" and subject.predicts != "tokens":
        raise UsageError(
            "'per: token' is for models that predict tokens; this one predicts classes", where=subject.name
        )


def resolve(options: FisherCalibration, subject: Subject, classes: int, seed: int) -> Request:
    """Choose the labels by the number of classes.

    Raises:
        UsageError: There is nothing to be learned from one class; or exact labels of a large vocabulary.
    """
    tokens = subject.predicts == "tokens"
    if classes < 2:
        what = "the model has one output, a number and no probabilities of classes: its Fisher information is 0"
        raise UsageError(what, where=subject.name, hint="it takes a classifier or a language model")
    if options.labels == EXACT and tokens and classes > EXACT_CLASSES:
        cost = f"one backward pass for each of {classes} tokens at every position of every text"
        hint = "use --labels sampled: one pass for each text, right on average"
        raise UsageError(f"exact labels would take {cost}", where=subject.name, hint=hint)
    labels = options.labels
    if labels == AUTO:
        few = classes <= EXACT_CLASSES and not tokens and options.gradients != "summed"
        labels = EXACT if few else SAMPLED
    return Request(labels, options.gradients == "summed", options.per == "token", tokens, classes, seed)
