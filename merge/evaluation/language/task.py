"""A benchmark that any language model in memory can be run on, one made of several too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..task import Task

if TYPE_CHECKING:
    from ..candidate import Candidate
    from ..kinds.lm_eval import LmEval
    from ..kinds.perplexity import Perplexity
    from ..outcome import Outcome
    from ..task import Settings
    from .network import LanguageModel


@runtime_checkable
class LanguageTask(Task, Protocol):
    """Texts, or the tasks of lm-evaluation-harness."""

    def model(self, candidate: Candidate) -> LanguageModel:
        """Build the candidate's network and tokenizer. Raises as `Task.evaluate` does."""

    def run(self, model: LanguageModel, folder: Path | None) -> Outcome:
        """Run a model over all items.

        Args:
            model: Network and tokenizer.
            folder: Where a ``generation_config.json`` may lie.

        Raises:
            MergeError: The model does not run, or gives outputs that are not finite.
        """


class ModelByModel(ABC):
    """Builds a model and runs it: what the kinds of such benchmarks have in common."""

    benchmark: LmEval | Perplexity
    settings: Settings

    def evaluate(self, candidate: Candidate) -> Outcome:
        """Build and run one model."""
        return self.run(self.model(candidate), candidate.folder)

    def model(self, candidate: Candidate) -> LanguageModel:
        """Build the candidate's network and tokenizer."""
        from .network import load_language_model

        return load_language_model(candidate, self.benchmark.model, self.settings)

    @abstractmethod
    def run(self, model: LanguageModel, folder: Path | None) -> Outcome:
        """Run a model over all items."""
