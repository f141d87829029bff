"""Images ▸ networks that see, and batches of pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import MergeError
from .image_digest import images_digest
from .image_head import head_key
from .image_normalization import image_normalization
from .image_sample import ImageSample, Selection
from .image_subject import ImageSubject, load_image_subject

if TYPE_CHECKING:
    from ...evaluation.candidate import Candidate
    from ...evaluation.data.image_set import ImageSet
    from ...evaluation.kinds.classification import Classification
    from ...evaluation.kinds.zero_shot import ZeroShot
    from ...evaluation.task import Settings
    from .describing import Description
    from .drawing import Drawing


class ImageFeed:
    """Images of one benchmark or shorthand, loaded once for all models.

    Args:
        description: What ``--data`` named.
        benchmark: The same as a benchmark of images.
    """

    reads = "images"

    def __init__(self, description: Description, benchmark: Classification | ZeroShot) -> None:
        self.description = description
        self.benchmark = replace(benchmark, data=replace(benchmark.data, needs_labels=False))
        self._loaded: tuple[tuple[bool, int], ImageSet] | None = None

    @property
    def head(self) -> object:
        """What decides on the head: data of one mixture must agree on it for predictions."""
        return head_key(self.benchmark)

    def subject(self, candidate: Candidate, settings: Settings, *, with_head: bool) -> ImageSubject:
        """Build a candidate's network. Raises MergeError or UsageError as ``load_image_subject`` does."""
        classes = lambda: self._images(settings).classes  # noqa: E731 -- names are read only if a head needs them
        return load_image_subject(candidate, self.benchmark, settings, classes if with_head else None)

    def sample(self, subject: Any, drawing: Drawing, settings: Settings) -> ImageSample:
        """Draw images, and prepare the first one, so that images that do not fit are refused at once.

        Raises:
            UsageError: The images do not fit the model.
            MergeError: They cannot be read.
        """
        if not isinstance(subject, ImageSubject):
            raise MergeError(f"the model reads no images, which '{self.description.name}' has", where=subject.name)
        images, name = self._images(settings), self.description.name
        chosen = Selection(images, drawing.items(len(images), name))
        normalization = image_normalization(subject, self.benchmark, is_shorthand=self.description.is_shorthand)
        about = {"name": name, "split": self.benchmark.split, **drawing.about(len(images))}
        about["digest"] = images_digest(chosen, self.benchmark.data)
        about["normalize"] = {"mean": list(normalization.mean), "std": list(normalization.std)}
        about["notes"] = [*images.notes, *drawing.notes(len(images))]
        sample = ImageSample(chosen, normalization, subject.expects, about)
        _try(sample, subject.name)
        return sample

    def _images(self, settings: Settings) -> ImageSet:
        from ...evaluation.data import load_images

        key = settings.skip_broken, settings.seed
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = key, load_images(self.benchmark.data, settings)
        return self._loaded[1]


def _try(sample: ImageSample, model: str) -> None:
    """Prepare the first image. Raises what that raises, with the model's name."""
    try:
        next(sample.batches(1))
    except MergeError as error:
        raise type(error)(f"{error.what} (model {model})", where=error.where, hint=error.hint) from None
