"""Classification: labelled images, and models that have classes or get a fixed head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...section import Section
from ..area_under_curve import read_metrics
from ..data_source import DataSource, read_data_source
from ..heads import ClipHead, FixedHead, Head, read_image_head, read_logit_scale
from ..images import Normalization, read_normalization
from ..language.labelled_texts import has_texts
from ..model_name import ModelName, parse_model_name
from ..scored_outputs import ScoredOutputs, read_scored_outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..candidate import Candidate
    from ..gradients import WeightGradients
    from ..language.text_classification import TextClassification
    from ..outcome import Outcome
    from ..predictor import ImagePredictor
    from ..task import Settings

KEYS = ("name", "kind", "data", "model", "head", "normalize", "logit_scale", "metrics", "outputs")


@dataclass(frozen=True)
class Classification:
    """A classification benchmark, all paths resolved.

    Attributes:
        model: The architecture of checkpoints that have no configuration beside them.
        logit_scale: Given, the head is a cosine head with this scale; None, a plain linear one.
        metrics: Those besides what is always reported.
        outputs: Which of a model's own classes are scored; None: all.
    """

    name: str
    data: DataSource
    model: ModelName | None
    head: Head | ClipHead | None
    normalization: Normalization
    logit_scale: float | None
    where: str
    kind: str = "classification"
    metrics: tuple[str, ...] = ()
    outputs: ScoredOutputs | None = None

    @property
    def split(self) -> str:
        """The part of the data that is used."""
        return self.data.split

    def prepare(self, settings: Settings) -> ClassificationTask:
        """Load images, labels and head."""
        return ClassificationTask(self, settings)


def read(section: Section, folder: Path, name: str) -> Classification | TextClassification:
    """Read a benchmark of this kind. Raises UsageError with the place of what is wrong."""
    if has_texts(section):
        from ..language.text_classification import read as read_texts

        return read_texts(section, folder, name)
    section.check_keys(KEYS, required=("kind", "data"))
    head = read_image_head(section, folder)
    return Classification(
        name=name,
        data=read_data_source(section, folder),
        model=_model(section, folder),
        head=head,
        normalization=read_normalization(section),
        logit_scale=read_logit_scale(section, head),
        where=section.name,
        metrics=read_metrics(section),
        outputs=read_scored_outputs(section),
    )


def _model(section: Section, folder: Path) -> ModelName | None:
    if "model" not in section.mapping:
        return None
    return parse_model_name(section.text("model", ""), section.where("model"), folder)


class ClassificationTask:
    """Labelled images, run over one classifier after another."""

    def __init__(self, benchmark: Classification, settings: Settings) -> None:
        from ..data import load_images
        from ..networks import check_model

        self.benchmark, self.settings = benchmark, settings
        check_model(settings.model, benchmark.model)
        self.data = load_images(benchmark.data, settings)
        self.head = self._head()

    def _head(self) -> FixedHead | None:
        from ..heads import read_head

        if self.benchmark.head is None:
            return None
        scale, device = self.benchmark.logit_scale, self.settings.device
        return read_head(self.benchmark.head, scale, device, self.data.classes)

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.data.labels)

    def evaluate(self, candidate: Candidate) -> Outcome:
        """Run one model over all images."""
        from ..predictor import predict

        predictor = self.predictor(candidate)
        logits = predict(predictor, self.settings, self.settings.advance)
        return self._outcome(logits, predictor.head_label, [*predictor.notes])

    def predictor(self, candidate: Candidate) -> ImagePredictor:
        """Build the candidate's network."""
        from ..classifier import load_classifier
        from ..predictor import ImagePredictor

        given = self.benchmark
        classifier = load_classifier(candidate, given.model, self.head, self.settings, given.outputs)
        unused = self.head.label if self.head and not classifier.head else None
        notes = [f"the model's own classes were used, not the benchmark's head {unused}"] if unused else []
        notes += classifier.head.notes if classifier.head else []
        return ImagePredictor(classifier, self.data, self.benchmark.normalization, self.settings, tuple(notes))

    def score(self, logits: NDArray[np.floating], name: str) -> Outcome:
        """Compare logits [n, classes] with the labels."""
        return self._outcome(logits, name, [])

    def _outcome(self, logits: NDArray[np.floating], head: str, notes: list[str]) -> Outcome:
        from ..scoring import score

        more = self.benchmark.metrics
        return score(logits, self.data.labels, head=head, notes=[*self.data.notes, *notes], more=more)

    def differentiate(self, candidate: Candidate) -> WeightGradients:
        """Build the candidate's network once, for many steps of a descent on the weights."""
        from ..classifier import load_classifier
        from ..gradients import image_gradients

        given = self.benchmark
        classifier = load_classifier(candidate, given.model, self.head, self.settings, given.outputs)
        return image_gradients(classifier, self.data, self.benchmark.normalization)

    def item_digests(self) -> set[bytes]:
        """Return a digest of every image."""
        from ..data.digests import image_digests

        return image_digests(self.data)
