"""Groups for bare checkpoints of known families, by the names and shapes of their tensors; no model is built.

A template knows every tensor of its family. A checkpoint with others is refused rather than guessed at, since a wrong
group breaks a model silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...checkpoints.checkpoint import Source, read_json_object
from ...errors import UsageError
from ..expanding import Shapes
from ..groups import Groups
from .bert import bert
from .chain import chain
from .clip import hf_clip, open_clip
from .draft import Checkpoint, Draft
from .gpt2 import gpt2
from .llama import llama
from .resnet import resnet
from .vision_transformers import hf_vit, timm_vit

TEMPLATES: tuple[Callable[[Checkpoint], Draft | None], ...] = (
    timm_vit,
    hf_vit,
    open_clip,
    hf_clip,
    bert,
    gpt2,
    llama,
    resnet,
    chain,
)
_OPEN_CLIP_CONFIG = "open_clip_config.json"


class Template(NamedTuple):
    """The groups of a bare checkpoint, and what a user should know of them."""

    groups: Groups
    notes: list[str]


def groups_of(source: Source) -> Template:
    """Return the groups of an open checkpoint; as `groups_by_names`."""
    shapes = {name: tensor.shape for name, tensor in source.tensors.items()}
    return groups_by_names(shapes, _configuration(source), where=source.location)


def groups_by_names(shapes: Shapes, config: Mapping[str, Any] | None = None, *, where: str | None = None) -> Template:
    """Return the groups of a checkpoint of a known family.

    Args:
        shapes: Of all its tensors, by name.
        config: The config.json beside it, which tells the number of heads.
        where: The checkpoint, for messages.

    Raises:
        UsageError: It is of no known family, or has tensors that its family does not.
    """
    checkpoint = Checkpoint(shapes, config or {})
    try:
        for template in TEMPLATES:
            draft = template(checkpoint)
            if draft is not None:
                return Template(draft.groups(checkpoint), draft.notes)
    except UsageError as error:
        raise UsageError(error.what, where=where, hint=error.hint) from None
    raise UsageError(
        "the tensors' names and shapes are those of no known family, so which units belong together is not known",
        where=where,
        hint="give the model with --model, or the groups with --groups FILE",
    )


def _configuration(source: Source) -> Mapping[str, Any]:
    """Return config.json, or what open_clip has in its place."""
    folder: Path | None = getattr(source, "folder", None)
    path = folder / _OPEN_CLIP_CONFIG if folder is not None else None
    return read_json_object(path) if not source.config and path is not None and path.is_file() else source.config
