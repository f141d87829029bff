"""Classifiers of texts, with classes of their own or under a fixed head."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from ...evaluation.language.load_text_classifier import load_text_classifier
from .text_network import Wanted, longest_read, ready, text_subject
from .text_reader import TextReader
from .token_tasks import task_of

if TYPE_CHECKING:
    from torch import Tensor

    from ...evaluation.candidate import Candidate
    from ...evaluation.heads import FixedHead, Head
    from ...evaluation.task import Settings
    from .text_subject import TextSubject


def classifier_subject(candidate: Candidate, wanted: Wanted, settings: Settings) -> TextSubject:
    """Build a classifier of texts, or a backbone for the head of the data.

    Raises:
        UsageError: Nothing says what architecture or tokenizer it has.
        MergeError: The checkpoint does not fit its architecture.
    """
    head = cast("FixedHead", LazyHead(wanted.head, settings.device)) if wanted.head else None
    found = load_text_classifier(candidate, wanted.model, head, settings)
    network = ready(found.network, settings)
    context = longest_read(network, found.tokenizer, wanted, candidate.name, None)
    task = task_of("classes", network, found.tokenizer, context, candidate.name)
    reader = TextReader(candidate.name, network, found.tokenizer, context, task, True, found.filler)
    predicts = "classes" if wanted.predicts or head is None else "nothing"

    def to_logits(outputs: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        return found.logits_of(outputs, inputs["attention_mask"])

    return text_subject(candidate, network, reader, found.rebuild, predicts, to_logits)


class LazyHead:
    """A fixed head over features of texts, read or fetched when the first logits are asked for."""

    def __init__(self, head: Head, device: str) -> None:
        self._named, self._device = head, device
        self.label = head.label

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits. Raises MergeError where the head does not fit, or cannot be had."""
        return self._head(features)

    @cached_property
    def _head(self) -> FixedHead:
        from ...evaluation.language.text_head import load_text_head

        return load_text_head(self._named, self._device)
