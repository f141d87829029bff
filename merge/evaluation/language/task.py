"""A benchmark that any language model in memory can be run on, one made of several too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ..task import Task

if TYPE_CHECKING:
    from ..candidate import Candidate
    from ..outcome import Outcome
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
