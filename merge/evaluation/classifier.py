"""A checkpoint as a function from images to logits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MergeError, UsageError
from .images import ImageFormat
from .precision import lower_precision

if TYPE_CHECKING:
    from torch import Tensor

    from .candidate import Candidate
    from .heads import FixedHead
    from .task import Precision, Settings

OWN_HEAD = "own"


@dataclass(frozen=True)
class Classifier:
    """A loaded model. ``head`` is None for a model with classes of its own."""

    name: str
    network: Any
    head: FixedHead | None
    expects: ImageFormat
    device: str
    precision: Precision = "float32"

    @property
    def head_label(self) -> str:
        """Which head classifies: the model's ``own``, or the fixed one as the benchmark writes it."""
        return self.head.label if self.head else OWN_HEAD

    def logits(self, pixels: Tensor) -> Tensor:
        """Return logits [n, classes], float32, on the CPU.

        Args:
            pixels: [n, channels, height, width], prepared.

        Raises:
            MergeError: The model does not run, its outputs are not finite, or the head does not fit.
        """
        outputs = self._run(pixels)
        logits: Tensor = self.head(self._features(outputs)) if self.head else outputs.logits
        logits = logits.float().cpu()
        if not logits.isfinite().all():
            raise MergeError("the model gives logits that are not finite (nan or inf)", where=self.name)
        return logits

    def _run(self, pixels: Tensor) -> Any:
        try:
            with lower_precision(self.device, self.precision):
                return self.network(pixel_values=pixels.to(self.device))
        except (TypeError, ValueError, RuntimeError) as error:
            first_line = str(error).strip().partition("\n")[0]
            what = f"{type(self.network).__name__} does not run on images {list(pixels.shape)}: {first_line}"
            raise MergeError(what, where=self.name) from error

    def _features(self, outputs: Any) -> Tensor:
        projected: Tensor | None = getattr(outputs, "image_embeds", None)
        features: Tensor | None = getattr(outputs, "pooler_output", None) if projected is None else projected
        if features is None:
            raise MergeError(f"{type(self.network).__name__} gives no pooled features", where=self.name)
        return features.flatten(1)


def load_classifier(
    candidate: Candidate, architecture: Path | None, head: FixedHead | None, settings: Settings
) -> Classifier:
    """Build a model with its weights.

    Args:
        candidate: The model.
        architecture: Folder with the configuration of checkpoints that have none of their own.
        head: The benchmark's head, for models without classes.
        settings: Device, precision, and the architecture by ``--model``.

    Raises:
        MergeError: The checkpoint does not fit its architecture.
        UsageError: Nothing says what architecture it has, or nothing gives it a head.
    """
    from .architecture import build
    from .configuration import configuration

    config = configuration(candidate, settings.model, architecture)
    network = build(config, candidate.tensors, where=candidate.name).to(settings.device)
    return Classifier(
        name=candidate.name,
        network=network,
        head=_head_for(network, head, candidate.name),
        expects=_image_format(network.config),
        device=settings.device,
        precision=settings.precision,
    )


def _head_for(network: Any, head: FixedHead | None, where: str) -> FixedHead | None:
    architecture = type(network).__name__
    if "ForImageClassification" in architecture:
        return None
    if head is None:
        hint = "name a fixed one in the benchmark: 'head: file.safetensors#NAME'"
        raise UsageError(f"{architecture} has no classification head", where=where, hint=hint)
    return head


def _image_format(config: Any) -> ImageFormat:
    vision = getattr(config, "vision_config", config)  # CLIPForImageClassification keeps the whole configuration
    size = getattr(vision, "image_size", None)
    if isinstance(size, int):
        size = (size, size)
    return ImageFormat(channels=getattr(vision, "num_channels", 3), size=tuple(size) if size else None)
