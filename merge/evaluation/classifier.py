"""A checkpoint as a function from images to logits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import MergeError, UsageError
from .precision import lower_precision
from .scored_outputs import ScoredOutputs, scored

if TYPE_CHECKING:
    from torch import Tensor

    from .candidate import Candidate
    from .heads import FixedHead
    from .image_format import ImageFormat
    from .model_name import ModelName
    from .networks import ImageNetwork
    from .task import Precision, Settings

OWN_HEAD = "own"


@dataclass(frozen=True)
class Classifier:
    """A loaded model.

    Attributes:
        name: Of the model, as the user gave it.
        model: The vision model, on ``device``.
        head: None for a model with classes of its own.
        device: A torch device.
        precision: What matrix products of the model are computed in; the head is float32.
        outputs: Which of the model's own classes are scored; None: all.
    """

    name: str
    model: ImageNetwork
    head: FixedHead | None
    device: str
    precision: Precision = "float32"
    outputs: ScoredOutputs | None = None

    @property
    def network(self) -> Any:
        """The torch module."""
        return self.model.module

    @property
    def expects(self) -> ImageFormat:
        """The pixels that it takes."""
        return self.model.expects

    @property
    def head_label(self) -> str:
        """Which head classifies: the model's ``own``, or the fixed one as the benchmark writes it."""
        return self.head.label if self.head else OWN_HEAD

    def places(self) -> dict[str, Any]:
        """Return the module's parameters and buffers by the names that their tensors have in the checkpoint.

        Raises:
            MergeError: The module rearranges tensors, so that they have no place of their own.
        """
        return self.model.places()

    def logits(self, pixels: Tensor) -> Tensor:
        """Return logits [n, classes], float32, on the CPU.

        Args:
            pixels: [n, channels, height, width], prepared.

        Raises:
            MergeError: The model does not run, its outputs are not finite, or the head does not fit.
        """
        return self._finite(self.forward(pixels))

    def features(self, pixels: Tensor) -> Tensor:
        """Return what goes into the head [n, size], float32, on the CPU. Raises MergeError, as above."""
        return self._finite(self._run(pixels).flatten(1).float())

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits [n, classes], float32, on the model's device and with their gradients.

        Raises:
            MergeError: The model does not run, or the head does not fit.
        """
        outputs = self._run(pixels)
        if self.head:
            return self.head(outputs.flatten(1).float())
        return scored(self.outputs, outputs.float(), self.name)

    def _run(self, pixels: Tensor) -> Tensor:
        try:
            with lower_precision(self.device, self.precision):
                return self.model.outputs(pixels.to(self.device))
        except MergeError:
            raise
        except (Exception, SystemExit) as error:  # models raise whatever they like at inputs that they do not take
            first_line = str(error).strip().partition("\n")[0]
            what = f"{self.model.architecture} does not run on images {list(pixels.shape)}: {first_line}"
            raise MergeError(what, where=self.name) from error

    def _finite(self, outputs: Tensor) -> Tensor:
        outputs = outputs.float().cpu()
        if not outputs.isfinite().all():
            raise MergeError("the model gives logits that are not finite (nan or inf)", where=self.name)
        return outputs


def load_classifier(
    candidate: Candidate,
    architecture: ModelName | None,
    head: FixedHead | None,
    settings: Settings,
    outputs: ScoredOutputs | None = None,
) -> Classifier:
    """Build a model with its weights.

    Args:
        candidate: The model.
        architecture: What the benchmark calls the architecture of checkpoints that have no configuration of their own.
        head: The benchmark's head, for models without classes.
        settings: Device, precision, and the architecture by ``--model``.
        outputs: Which of a model's own classes are scored; None: all.

    Raises:
        MergeError: The checkpoint does not fit its architecture.
        UsageError: Nothing says what architecture it has, or nothing gives it a head.
    """
    from .networks import build_network, choose_model

    model = choose_model(candidate, settings.model, architecture)
    network = build_network(_with_projection(candidate, head), model)
    chosen = _head_for(network, head, candidate.name)
    network.module.to(settings.device)
    return Classifier(candidate.name, network, chosen, settings.device, settings.precision, outputs)


def lacks_projection(candidate: Candidate) -> bool:
    """Tell whether a candidate is a CLIP image tower that was stored without the projection to features."""
    from .architecture import CLIP_TOWER, PROJECTION, TEXT_TOWER

    is_tower = any(name.endswith(CLIP_TOWER) for name in candidate.tensors)
    return is_tower and not any(name == PROJECTION or name.startswith(TEXT_TOWER) for name in candidate.tensors)


def _with_projection(candidate: Candidate, head: FixedHead | None) -> Candidate:
    """Return the candidate with its head's image projection, where it is a CLIP image tower without one."""
    from .architecture import PROJECTION

    if head is None or head.projection is None or not lacks_projection(candidate):
        return candidate
    return replace(candidate, tensors={**candidate.tensors, PROJECTION: head.projection})


def _head_for(network: ImageNetwork, head: FixedHead | None, where: str) -> FixedHead | None:
    if network.has_classes:
        return None
    if head is None:
        hint = "name a fixed one in the benchmark: 'head: file.safetensors#NAME', or 'kind: zero-shot'"
        raise UsageError(f"{network.architecture} has no classification head", where=where, hint=hint)
    return head
