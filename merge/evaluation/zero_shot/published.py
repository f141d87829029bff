"""The mean and standard deviation that a model's pixels were normalised with when it was published."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...json_text import parse_json
from ..configuration import settings_folder
from ..images import Normalization
from ..model_name import CONFIG

if TYPE_CHECKING:
    from ..kinds.classification import Classification
    from ..kinds.zero_shot import ZeroShot
    from ..model_name import ModelName

# Of CLIP's training images (Radford et al. 2021); most models of images and texts kept them.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)  # SigLIP's
FILES = {"preprocessor_config.json": ("image_mean", "image_std"), "open_clip_config.json": ("mean", "std")}


def published_normalization(network: Any, model: ModelName, benchmark: ZeroShot | Classification) -> Normalization:
    """Return what the model's folder says, else what its family was published with.

    Args:
        network: The image tower.
        model: Its architecture.
        benchmark: For the place of its data in messages.
    """
    mean, std = stated_normalization(model) or _of_family(network, model)
    return Normalization(mean, std, benchmark.where, benchmark.data.where)


def stated_normalization(model: ModelName) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the mean and standard deviation that a model's folder states, or its repository on the hub, or None.

    Raises:
        MergeError: The repository's settings cannot be fetched.
    """
    return of_folder(Path(settings_folder(model, (*FILES, CONFIG))))


def of_folder(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return the mean and standard deviation that a folder states, or None."""
    for file, keys in FILES.items():
        try:
            content = parse_json((folder / file).read_text(encoding="utf-8"))
            mean, std = (content.get("preprocess_cfg", content)[key] for key in keys)
            return tuple(float(value) for value in mean), tuple(float(value) for value in std)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
            continue  # a folder need not have them, and what it says may be of another kind
    return None


def _of_family(network: Any, model: ModelName) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if "siglip" in type(network).__name__.lower() or "siglip" in model.name.lower():
        return HALF, HALF
    mean, std = getattr(network, "image_mean", None), getattr(network, "image_std", None)  # open_clip's towers
    return tuple(mean or CLIP_MEAN), tuple(std or CLIP_STD)
