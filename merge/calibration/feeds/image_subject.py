"""Networks that read images: classifiers, and towers with the head of the data or with none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...evaluation.classifier import Classifier, lacks_projection
from .image_head import head_maker
from .placing import places_in
from .running import no_predictions

if TYPE_CHECKING:
    from torch import Tensor

    from ...evaluation.candidate import Candidate
    from ...evaluation.heads import FixedHead
    from ...evaluation.image_format import ImageFormat
    from ...evaluation.kinds.classification import Classification
    from ...evaluation.kinds.zero_shot import ZeroShot
    from ...evaluation.model_name import ModelName
    from ...evaluation.networks import ImageNetwork
    from ...evaluation.task import Settings

    Classes = Callable[[], tuple[str, ...] | None]


@dataclass
class ImageSubject:
    """A network that reads images.

    Attributes:
        name: The model, as the user gave it.
        module: The torch module.
        network: The same, and how it is run.
        device: Where it is.
        predicts: ``classes``, or ``nothing`` for a tower without a head.
        architecture: What it is.
        placed: Parameters and buffers by the checkpoint's names.
        lacks_projection: Whether it is a CLIP tower that was stored without the projection to features.
        make_head: Gives the head of the data; called at the first prediction, since activations need none.
    """

    name: str
    module: Any
    network: ImageNetwork
    device: str
    predicts: str
    architecture: ModelName
    placed: Mapping[str, Tensor]
    lacks_projection: bool
    make_head: Callable[[], FixedHead] | None

    @property
    def expects(self) -> ImageFormat:
        """The pixels that it takes."""
        return self.network.expects

    def places(self) -> Mapping[str, Tensor]:
        """Return parameters and buffers by the checkpoint's names; tensors without a place of their own are absent."""
        return self.placed

    def run(self, inputs: Mapping[str, Tensor]) -> None:
        """Run the network once. Raises MergeError where it does not run."""
        self._classifier.forward(inputs["pixels"])

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits [items, classes], with gradients.

        Raises:
            MergeError: The network does not run, or there is no head, or one that does not fit.
        """
        if self.predicts == "nothing":
            raise no_predictions(self.module, self.name)
        outputs = self._classifier.forward(inputs["pixels"])
        return outputs if self._head is None else self._with_head(outputs.flatten(1), self._head)

    def _with_head(self, features: Tensor, head: FixedHead) -> Tensor:
        from torch.nn.functional import linear

        if self.lacks_projection and head.projection is not None:
            features = linear(features, head.projection.to(features.device, features.dtype))
        return head(features)

    @cached_property
    def _classifier(self) -> Classifier:
        return Classifier(self.name, self.network, None, self.device)

    @cached_property
    def _head(self) -> FixedHead | None:
        return self.make_head() if self.make_head else None


def load_image_subject(
    candidate: Candidate, benchmark: Classification | ZeroShot, settings: Settings, classes: Classes | None
) -> ImageSubject:
    """Build the network of a candidate.

    Args:
        candidate: The model.
        benchmark: What the data is, and the head and architecture that it names.
        settings: Device, and the architecture by ``--model``.
        classes: Gives the names that the data has for its classes; None: no head is wanted.

    Raises:
        MergeError: The checkpoint does not fit its architecture.
        UsageError: Nothing says what architecture it has, or it reads no images.
    """
    from ...evaluation.networks import build_network, check_model, choose_model
    from ...evaluation.networks.network import own_memory
    from .fitting import refuse_texts_only

    check_model(settings.model, benchmark.model)
    architecture = choose_model(candidate, settings.model, benchmark.model)
    refuse_texts_only(architecture, candidate.name, benchmark.name)
    network = build_network(candidate, architecture)
    network.module.requires_grad_(True)
    own_memory(network.module.to(settings.device))
    make_head = head_maker(benchmark, candidate, settings, classes) if classes and not network.has_classes else None
    predicts = "classes" if network.has_classes or make_head else "nothing"
    return ImageSubject(
        name=candidate.name,
        module=network.module,
        network=replace(network, names={}),  # what finds them holds the whole checkpoint
        device=settings.device,
        predicts=predicts,
        architecture=architecture,
        placed=_places(network, candidate.tensors),
        lacks_projection=lacks_projection(candidate),
        make_head=make_head,
    )


def _places(network: ImageNetwork, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    names = network.names(True) if callable(network.names) else network.names
    return places_in(network.module, names, tensors)
