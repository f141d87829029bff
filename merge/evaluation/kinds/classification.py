"""Classification: labelled images, and models that have classes or get a fixed head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...section import Section
from ..data_source import DataSource, read_data_source
from ..heads import Head, read_head_name, read_logit_scale
from ..images import Normalization, read_normalization

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..candidate import Candidate
    from ..outcome import Outcome
    from ..task import Settings

KEYS = ("name", "kind", "data", "model", "head", "normalize", "logit_scale")


@dataclass(frozen=True)
class Classification:
    """A classification benchmark, all paths resolved.

    Attributes:
        model: Folder with the ``config.json`` for checkpoints that have none beside them.
        logit_scale: Given, the head is a cosine head with this scale; None, a plain linear one.
    """

    name: str
    data: DataSource
    model: Path | None
    head: Head | None
    normalization: Normalization
    logit_scale: float | None
    where: str
    kind: str = "classification"

    @property
    def split(self) -> str:
        """The part of the data that is used."""
        return self.data.split

    def prepare(self, settings: Settings) -> ClassificationTask:
        """Load images, labels and head."""
        return ClassificationTask(self, settings)


def read(section: Section, folder: Path, name: str) -> Classification:
    """Read a benchmark of this kind. Raises UsageError with the place of what is wrong."""
    section.check_keys(KEYS, required=("kind", "data"))
    head = read_head_name(section, folder)
    return Classification(
        name=name,
        data=read_data_source(section, folder),
        model=folder / section.text("model", "") if "model" in section.mapping else None,
        head=head,
        normalization=read_normalization(section),
        logit_scale=read_logit_scale(section, head),
        where=section.name,
    )


class ClassificationTask:
    """Labelled images in memory, run over one classifier after another."""

    def __init__(self, benchmark: Classification, settings: Settings) -> None:
        from ..data import load_images
        from ..heads import read_head

        self.benchmark, self.settings = benchmark, settings
        self.data = load_images(benchmark.data)
        self.head = read_head(benchmark.head, benchmark.logit_scale, settings.device) if benchmark.head else None

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.data.labels)

    def evaluate(self, candidate: Candidate) -> Outcome:
        """Run one model over all images."""
        from ..classifier import load_classifier
        from ..scoring import run

        classifier = load_classifier(candidate, self.benchmark.model, self.head, self.settings)
        logits = run(classifier, self.data, self.benchmark.normalization, self.settings)
        return self.score(logits, classifier.head_label)

    def score(self, logits: NDArray[np.floating], name: str) -> Outcome:
        """Compare logits [n, classes] with the labels."""
        from ..scoring import score

        return score(logits, self.data.labels, head=name)
