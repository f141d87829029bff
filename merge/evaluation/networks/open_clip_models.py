"""Architectures of open_clip: the whole model, or the image tower alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError, suggest
from ..foreign_code import never_asked
from ..image_format import ImageFormat
from ..model_name import CONFIG, OPEN_CLIP_CONFIG
from .network import ImageNetwork
from .open_clip_hub import TEXT_MODEL, check_text_model, fetch_for_texts
from .weights import load_strictly, no_global_randomness, refuse_without_image_tower

if TYPE_CHECKING:
    from torch import Tensor

    from ..model_name import ModelName

IMAGE_TOWER = "visual."
RGB = 3


def build_open_clip(model: ModelName, tensors: Mapping[str, Tensor], *, where: str) -> ImageNetwork:
    """Build the image tower from a whole checkpoint, or from an image tower's with or without ``visual.``.

    Raises:
        UsageError: open_clip has no such architecture.
        MergeError: The tensors do not fit.
    """
    whole = create_open_clip(model, where=where)
    if any(name in tensors for name in text_names(whole)):
        refuse_without_image_tower(tensors, IMAGE_TOWER, where=where)
    tower, names = image_tower(tensors, whole)
    load_strictly(whole.visual, tower, f"the image tower of {model.label}", where=where)
    size = whole.visual.image_size
    expects = ImageFormat(channels=RGB, size=(size, size) if isinstance(size, int) else tuple(size))
    return ImageNetwork(whole.visual, lambda pixels: _pooled(whole.visual(pixels)), False, expects, names)


def image_tower(tensors: Mapping[str, Tensor], whole: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Pick the image tower's tensors.

    Args:
        tensors: Of a checkpoint.
        whole: The whole model, whose other tensors may be there and are left out.

    Returns:
        The tensors under the names that the tower has, with any that nothing of the model is called; and these
        names by those of the checkpoint.
    """
    if any(name.startswith(IMAGE_TOWER) for name in tensors):
        others = {name for name in whole.state_dict() if not name.startswith(IMAGE_TOWER)}
        names = {name: name.removeprefix(IMAGE_TOWER) for name in tensors if name not in others}
    else:
        names = {name: name for name in tensors}
    return {here: tensors[name] for name, here in names.items()}, names


def text_names(whole: Any) -> set[str]:
    """Return the names that only tensors outside the image tower have, with a prefix or without."""
    image = {name.removeprefix(IMAGE_TOWER) for name in whole.state_dict() if name.startswith(IMAGE_TOWER)}
    return {name for name in whole.state_dict() if not name.startswith(IMAGE_TOWER)} - image


def create_open_clip(model: ModelName, *, where: str) -> Any:
    """Return a whole model with initial weights, on the CPU in float32.

    Raises:
        UsageError: open_clip has no such architecture.
        MergeError: It cannot be built, for example since its text tower's configuration is on the hub.
    """
    import open_clip

    name = open_clip_name(model)
    fetch_for_texts(model, TEXT_MODEL, (CONFIG,))
    check_text_model(model)
    with no_global_randomness(), quiet_logging(), never_asked():
        try:
            return open_clip.create_model(name, load_weights=False, pretrained_text=False)
        except (RuntimeError, ValueError, TypeError, KeyError, OSError, AssertionError) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise MergeError(f"open_clip cannot build '{model.label}': {first_line}", where=where) from None


def open_clip_name(model: ModelName) -> str:
    """Return what open_clip calls a model: a name, or ``local-dir:FOLDER``. Raises UsageError when there is none."""
    import open_clip

    if Path(model.name).is_dir():
        if (Path(model.name) / OPEN_CLIP_CONFIG).is_file():
            return f"local-dir:{model.name}"
        raise UsageError(f"the folder has no {OPEN_CLIP_CONFIG}", where=model.where)
    name = model.name.replace("/", "-")  # as open_clip itself reads names such as ViT-B/32
    if name not in open_clip.list_models():
        hint = suggest(name, open_clip.list_models()) or "open_clip.list_models() names them all"
        raise UsageError(f"open_clip has no architecture '{model.name}'", where=model.where, hint=hint)
    return name


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Hold back open_clip's warning that a model has random weights: they are all replaced, or the model refused."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _pooled(outputs: Any) -> Tensor:
    """Return the pooled features; towers of captioning models give the tokens beside them."""
    pooled: Tensor = outputs[0] if isinstance(outputs, tuple) else outputs
    return pooled
