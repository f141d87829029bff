"""Classification of texts: the kind ``classification`` where the data has a column of texts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import MergeError
from ...section import Section
from ..heads import Head
from ..scored_outputs import ScoredOutputs, read_scored_outputs
from .labelled_texts import LabelledTextSource, load_labelled_texts, read_labelled_text_source
from .text_head import load_text_head, read_text_head

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..candidate import Candidate
    from ..gradients import WeightGradients
    from ..outcome import Outcome
    from ..predictor import TextPredictor
    from ..task import Settings
    from .text_classifier import TextClassifier

KEYS = ("name", "kind", "data", "model", "head", "outputs")


@dataclass(frozen=True)
class TextClassification:
    """A benchmark of labelled texts, all paths resolved.

    Attributes:
        model: Folder with configuration and tokenizer for checkpoints that have none beside them.
        head: A fixed head over the features of the backbone; None: the classes that the models have.
        outputs: Which of a model's own classes are scored; None: all.
    """

    name: str
    data: LabelledTextSource
    model: Path | None
    head: Head | None
    where: str
    kind: str = "classification"
    outputs: ScoredOutputs | None = None

    @property
    def split(self) -> str:
        """The part of the data that is used."""
        return self.data.split

    def prepare(self, settings: Settings) -> TextClassificationTask:
        """Load texts, labels and head."""
        return TextClassificationTask(self, settings)


def read(section: Section, folder: Path, name: str) -> TextClassification:
    """Read a benchmark of texts. Raises UsageError with the place of what is wrong."""
    section.check_keys(KEYS, required=("kind", "data"))
    return TextClassification(
        name=name,
        data=read_labelled_text_source(section, folder),
        model=folder / section.text("model", "") if "model" in section.mapping else None,
        head=read_text_head(section, folder),
        where=section.name,
        outputs=read_scored_outputs(section),
    )


class TextClassificationTask:
    """Labelled texts in memory, run over one classifier after another."""

    def __init__(self, benchmark: TextClassification, settings: Settings) -> None:
        self.benchmark, self.settings = benchmark, settings
        self.data = load_labelled_texts(benchmark.data)
        self.head = load_text_head(benchmark.head, settings.device) if benchmark.head else None

    @property
    def n(self) -> int:
        """Number of texts."""
        return len(self.data.labels)

    def evaluate(self, candidate: Candidate) -> Outcome:
        """Run one model over all texts."""
        classifier = self._classifier(candidate)
        logits, cut = classifier.run(self.data)
        self._check(logits, candidate.name)
        return self._outcome(logits, classifier.head_label, classifier.notes(cut))

    def predictor(self, candidate: Candidate) -> TextPredictor:
        """Build the candidate's network."""
        from ..predictor import TextPredictor

        classifier = self._classifier(candidate)
        return TextPredictor(classifier, self.data, lambda logits: self._check(logits, candidate.name))

    def score(self, logits: NDArray[np.floating], name: str) -> Outcome:
        """Compare logits [n, classes] with the labels."""
        return self._outcome(logits, name, [])

    def differentiate(self, candidate: Candidate) -> WeightGradients:
        """Build the candidate's network once, for many steps of a descent on the weights."""
        from .text_gradients import text_gradients

        return text_gradients(self._classifier(candidate), candidate, self.data)

    def _classifier(self, candidate: Candidate) -> TextClassifier:
        from .load_text_classifier import load_text_classifier

        given = self.benchmark
        return load_text_classifier(candidate, given.model, self.head, self.settings, given.outputs)

    def item_digests(self) -> set[bytes]:
        """Return a digest of every text, or pair of texts, without its label."""
        from ...content_id import digest

        pairs = self.data.pairs or [""] * self.n
        return {digest("\0".join(each).encode()) for each in zip(self.data.texts, pairs, strict=True)}

    def _outcome(self, logits: NDArray[np.floating], head: str, notes: list[str]) -> Outcome:
        from ..scoring import score

        return score(logits, self.data.labels, head=head, notes=notes)

    def _check(self, logits: NDArray[np.floating] | Tensor, model: str) -> None:
        classes, highest = logits.shape[1], int(self.data.labels.max())
        if highest >= classes:
            what = f"the benchmark has the label {highest}, the model has {classes} classes (0 to {classes - 1})"
            raise MergeError(what, where=model)
