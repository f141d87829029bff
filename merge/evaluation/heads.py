"""Fixed classification heads for image towers that have none: linear, or cosine with a scale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MergeError, UsageError, suggest

if TYPE_CHECKING:
    from torch import Tensor

    from ..section import Section
    from .zero_shot.head_model import HeadModel
    from .zero_shot.prompts import Prompts


@dataclass(frozen=True)
class Head:
    """A fixed classification head: tensor ``name`` of a safetensors file, its bias in ``name.bias`` if there is one."""

    path: Path
    name: str
    label: str  # as the benchmark writes it
    where: str


@dataclass(frozen=True)
class ClipHead:
    """A head that a text tower makes from class names: ``head: {clip: MODEL, classes: …, templates: …}``."""

    model: HeadModel
    prompts: Prompts
    where: str

    @property
    def label(self) -> str:
        """What rows of results call it."""
        return f"{self.model.label}, {self.prompts.label}"


def read_image_head(section: Section, folder: Path) -> Head | ClipHead | None:
    """Read which head a benchmark of images names, if any. Raises UsageError with the place of what is wrong."""
    if isinstance(section.mapping.get("head"), dict):
        return _read_clip_head(section.section("head"), section.where("head"), folder)
    return read_head_name(section, folder)


def read_head_name(section: Section, folder: Path) -> Head | None:
    """Read which head of a file a benchmark names, if any. Raises UsageError with the place of what is wrong."""
    if "head" not in section.mapping:
        return None
    label, where = section.text("head", ""), section.where("head")
    file, _, name = label.rpartition("#")
    if not file or not name:
        raise UsageError(f"head '{label}' names no tensor", where=where, hint="write file.safetensors#NAME")
    if not (folder / file).is_file():
        raise UsageError(f"no such head file: {file}", where=where)
    return Head(path=folder / file, name=name, label=label, where=where)


def _read_clip_head(head: Section, where: str, folder: Path) -> ClipHead:
    from .zero_shot.head_model import read_head_model
    from .zero_shot.prompts import read_prompts

    head.check_keys(("clip", "checkpoint", "classes", "templates"), required=("clip",))
    _, model = read_head_model(head, "clip", folder)
    if model is None:
        hint = "name a folder with weights or hf:NAME, or give its weights under 'checkpoint'"
        raise UsageError("a head needs a model with weights", where=head.where("clip"), hint=hint)
    return ClipHead(model, read_prompts(head), where)


def read_logit_scale(section: Section, head: Head | ClipHead | None) -> float | None:
    """Read the scale that makes a head a cosine head. Raises UsageError when it is not above 0, or has no head."""
    scale = section.number("logit_scale")
    if scale is not None and head is None:
        raise UsageError("'logit_scale' needs a 'head'", where=section.where("logit_scale"))
    if scale is not None and scale <= 0:
        raise UsageError("'logit_scale' must be above 0", where=section.where("logit_scale"))
    return scale


@dataclass(frozen=True)
class FixedHead:
    """``features [n, f]`` ▸ ``logits [n, classes]`` by ``weight [classes, f]``.

    With a scale: scale * normalised features . normalised rows of the weight (+ bias); without: a linear layer.
    ``projection`` is the image projection of the CLIP model that made the head, for image towers merged without one.
    ``notes`` say what a reader of the results should know about how it was made.
    """

    weight: Tensor
    bias: Tensor | None
    scale: float | None
    label: str
    where: str
    projection: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __call__(self, features: Tensor) -> Tensor:
        """Return the logits. Raises MergeError when the features have another size than the head."""
        from torch.nn.functional import linear, normalize

        if features.shape[1] != self.weight.shape[1]:
            what = f"the head takes {self.weight.shape[1]} features, the model gives {features.shape[1]}"
            raise MergeError(what, where=self.where)
        if self.scale is None:
            return linear(features, self.weight, self.bias)
        cosines = linear(normalize(features, dim=1), normalize(self.weight, dim=1))
        logits = self.scale * cosines
        return logits if self.bias is None else logits + self.bias


def read_head(
    head: Head | ClipHead, scale: float | None, device: str, classes: tuple[str, ...] | None = None
) -> FixedHead:
    """Read a head as float32, or make it from class names.

    Args:
        head: As the benchmark describes it.
        scale: Makes it a cosine head; one made from class names is one, and has a scale of its own.
        device: A torch device.
        classes: Names that the data has for its classes.

    Raises:
        UsageError: The file holds no such tensor, or not one of a head's shape; or there are no class names.
        MergeError: The model that makes it has no text tower.
    """
    if isinstance(head, ClipHead):
        from .zero_shot.prompt_head import make_prompt_head

        candidate, model = head.model.load()
        names = head.prompts.names(classes)
        return make_prompt_head(candidate, model, head.prompts, names, head.label, device).head(device, scale=scale)
    return _read_file(head, scale, device)


def _read_file(head: Head, scale: float | None, device: str) -> FixedHead:
    from ..api import load_tensors

    tensors = load_tensors(head.path)
    if head.name not in tensors:
        hint = suggest(head.name, tensors) or f"there are: {', '.join(sorted(tensors))}"
        raise UsageError(f"no tensor '{head.name}' in {head.path.name}", where=head.where, hint=hint)
    weight, bias = tensors[head.name], tensors.get(f"{head.name}.bias")
    _check_shapes(weight, bias, head)
    return FixedHead(
        weight=weight.to(device).float(),
        bias=None if bias is None else bias.to(device).float(),
        scale=scale,
        label=head.label,
        where=head.where,
    )


def _check_shapes(weight: Tensor, bias: Tensor | None, head: Head) -> None:
    if weight.ndim != 2:
        what = f"the head '{head.name}' has shape {list(weight.shape)}; [classes, features] is expected"
        raise UsageError(what, where=head.where)
    if bias is not None and list(bias.shape) != [weight.shape[0]]:
        what = f"the bias '{head.name}.bias' has shape {list(bias.shape)}; [{weight.shape[0]}] is expected"
        raise UsageError(what, where=head.where)
