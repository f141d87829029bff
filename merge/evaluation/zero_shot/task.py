"""Zero-shot classification over images, one model after another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...data_use import UNLABELED
from ...errors import UsageError
from ..classifier import load_classifier
from ..model_name import parse_model_name
from ..networks import check_model, choose_model
from ..predictor import ImagePredictor, predict
from ..scoring import collect, score
from .head_model import HeadModel, has_weights
from .prompt_head import PromptHead, make_prompt_head
from .published import published_normalization
from .text_tower import NoTextTowerError
from .weighting import template_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..candidate import Candidate
    from ..classifier import Classifier
    from ..data.image_set import ImageSet
    from ..gradients import WeightGradients
    from ..images import Normalization
    from ..kinds.zero_shot import ZeroShot
    from ..model_name import ModelName
    from ..outcome import Outcome
    from ..task import Settings

TEST_MEAN_ALONE = "prompt weights: no pre-training images were given, so the mean over the test images stands alone"


class ZeroShotTask:
    """Labelled images and the head that is the same for all models, if there is one."""

    def __init__(self, benchmark: ZeroShot, settings: Settings) -> None:
        from ..data import load_images

        self.benchmark, self.settings = benchmark, settings
        check_model(settings.model, benchmark.model)
        self.data = load_images(benchmark.data, settings)
        self.names = benchmark.prompts.names(self.data.classes)
        self._check_labels()
        self.pretraining = load_images(benchmark.pretraining, settings) if benchmark.pretraining else None
        self.head = self._common_head()
        self.head_of_towers: PromptHead | None = None  # made when the first model without a text tower comes

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.data.labels)

    def evaluate(self, candidate: Candidate) -> Outcome:
        """Run one model over all images."""
        if self.benchmark.weights == "equal":
            predictor = self.predictor(candidate)
            logits = predict(predictor, self.settings, self.settings.advance)
            return self._outcome(logits, predictor.head_label, predictor.notes)
        classifier, head = self._build(candidate)
        normalization = self._normalization(classifier, self._architecture(candidate))
        logits, weights = self._by_prompt_weights(classifier, head, normalization)
        outcome = self._outcome(logits, classifier.head_label, head.notes)
        return replace(outcome, details={**outcome.details, "prompt_weights": weights})

    def predictor(self, candidate: Candidate) -> ImagePredictor:
        """Build the candidate's network and its head.

        Raises:
            UsageError: The head depends on the features of all images.
        """
        if self.benchmark.weights != "equal":
            what = "the weights of the templates depend on the features of all images"
            raise UsageError(what, where=self.benchmark.where, hint="leave out 'weights: zpe'")
        classifier, head = self._build(candidate)
        normalization = self._normalization(classifier, self._architecture(candidate))
        return ImagePredictor(classifier, self.data, normalization, self.settings, head.notes)

    def differentiate(self, candidate: Candidate) -> WeightGradients:
        """Build the candidate's network once, for many steps of a descent on the weights; the head stays as it is.

        Raises:
            UsageError: The head is not the same for all weights.
        """
        from ..gradients import image_gradients

        if self.head is None or self.benchmark.weights != "equal":
            hint = "name the model that makes the head under 'model', and leave out 'weights'"
            raise UsageError("the head would change with the weights", where=self.benchmark.where, hint=hint)
        classifier, _ = self._build(candidate)
        return image_gradients(classifier, self.data, self._normalization(classifier, self._architecture(candidate)))

    def item_digests(self) -> set[bytes]:
        """Return a digest of every image."""
        from ..data.digests import image_digests

        return image_digests(self.data)

    def score(self, logits: NDArray[np.floating], name: str) -> Outcome:
        """Compare logits [n, classes] with the labels."""
        return self._outcome(logits, name, self.head.notes if self.head else ())

    def _outcome(self, logits: NDArray[np.floating], name: str, of_head: tuple[str, ...]) -> Outcome:
        notes = [*self.data.notes, *of_head]
        outcome = score(logits, self.data.labels, head=name, notes=notes, more=self.benchmark.metrics)
        if self.benchmark.weights == "equal":
            return outcome
        return outcome.with_notes([] if self.pretraining else [TEST_MEAN_ALONE], UNLABELED)

    def _build(self, candidate: Candidate) -> tuple[Classifier, PromptHead]:
        head = self.head or self.head_of(candidate)
        fixed = head.head(self.settings.device)
        classifier = load_classifier(candidate, self.benchmark.model, fixed, self.settings)
        if classifier.head is None:
            hint = "evaluate it with 'kind: classification'"
            what = f"{classifier.model.architecture} has classes of its own, no features"
            raise UsageError(what, where=candidate.name, hint=hint)
        return classifier, head

    def _architecture(self, candidate: Candidate) -> ModelName:
        return choose_model(candidate, self.settings.model, self.benchmark.model)

    def _common_head(self) -> PromptHead | None:
        if self.benchmark.head_model is None:
            return None
        return self._head_of(self.benchmark.head_model)

    def head_of(self, candidate: Candidate, *, keep: bool = True) -> PromptHead:
        """Return the head of a model's own text tower, or for an image tower of the model that ``--model`` names.

        Args:
            candidate: The model.
            keep: Keep the embeddings of the prompts between runs.

        Raises:
            MergeError: There is no text tower.
        """
        try:
            return self._make_head(candidate, self._architecture(candidate), "own text tower", keep=keep)
        except NoTextTowerError:
            named = parse_model_name(self.settings.model, "--model") if self.settings.model else None
            if named is None or not has_weights(named):
                raise
            self.head_of_towers = self.head_of_towers or self._head_of(HeadModel(named, None))
            return self.head_of_towers

    def _head_of(self, maker: HeadModel) -> PromptHead:
        candidate, model = maker.load()
        return self._make_head(candidate, model, maker.label)

    def _make_head(self, candidate: Candidate, model: ModelName, maker: str, *, keep: bool = True) -> PromptHead:
        prompts = self.benchmark.prompts
        label = f"{maker}, {prompts.label}" + (", zpe" if self.benchmark.weights == "zpe" else "")
        return make_prompt_head(candidate, model, prompts, self.names, label, self.settings.device, keep=keep)

    def _by_prompt_weights(
        self, classifier: Classifier, head: PromptHead, normalization: Normalization
    ) -> tuple[Any, list[float]]:
        """Return the logits of a head whose templates the images themselves weigh, and the weights."""
        images = self._features(classifier, self.data, normalization, self.settings)
        quiet = replace(self.settings, advance=lambda items: None)  # pre-training images are not on the bar
        pretraining = self._features(classifier, self.pretraining, normalization, quiet) if self.pretraining else None
        weights = template_weights(head.embeddings, images, pretraining)
        return head.head("cpu", weights)(images).numpy(), weights.tolist()

    def _features(
        self, classifier: Classifier, data: ImageSet, normalization: Normalization, settings: Settings
    ) -> Tensor:
        """Return the normalised features [n, size] of all images."""
        import torch
        from torch.nn.functional import normalize

        features = collect(classifier.features, classifier.expects, data, normalization, settings)
        return normalize(torch.from_numpy(features), dim=1)

    def _normalization(self, classifier: Classifier, model: ModelName) -> Normalization:
        return self.benchmark.normalization or published_normalization(classifier.network, model, self.benchmark)

    def _check_labels(self) -> None:
        highest = int(self.data.labels.max())
        if highest >= len(self.names):
            what = f"the data has the label {highest}, the head has {len(self.names)} class names"
            raise UsageError(f"{what} (0 to {len(self.names) - 1})", where=self.benchmark.prompts.where)
