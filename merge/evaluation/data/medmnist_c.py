"""MedMNIST-C's own files (Di Salvo et al. 2024, arXiv:2406.17536): test images under each modality's own corruptions.

``bloodmnist/bubble.npz`` holds the whole test split five times, at 224 x 224, from the mildest severity to the fifth.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError, suggest
from .arrays import channels_first, class_numbers
from .claims import array_header, check_member
from .image_set import ArrayImages
from .medmnist import medmnist_root

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..data_source import DataSource

ROOT_VARIABLE = "MERGE_MEDMNIST_C_ROOT"
SEVERITIES = 5

_DIGITAL = ("pixelate", "jpeg_compression")
_NOISE = ("gaussian_noise", "speckle_noise", "impulse_noise", "shot_noise")
_LIGHT = ("brightness_up", "brightness_down", "contrast_up", "contrast_down")
_GAMMA = ("gamma_corr_up", "gamma_corr_down")
_X_RAY = (*_DIGITAL, *_NOISE, "gaussian_blur", *_LIGHT, *_GAMMA)
_STAINS = (*_DIGITAL, "defocus_blur", "motion_blur", *_LIGHT, "saturate", "stain_deposit", "bubble")
# Of the sets with one label an image, as in medmnistc/corruptions/registry.py of medmnistc.
CORRUPTIONS: dict[str, tuple[str, ...]] = {
    "bloodmnist": _STAINS,
    "breastmnist": (*_DIGITAL, "speckle_noise", "motion_blur", "brightness_up", "brightness_down", "contrast_down"),
    "dermamnist": (
        *(*_DIGITAL, *_NOISE, "defocus_blur", "motion_blur", "zoom_blur"),
        *(*_LIGHT, "black_corner", "characters"),
    ),
    "octmnist": (*_DIGITAL, "speckle_noise", "defocus_blur", "motion_blur", "contrast_down"),
    "organamnist": _X_RAY,
    "organcmnist": _X_RAY,
    "organsmnist": _X_RAY,
    "pathmnist": _STAINS,
    "pneumoniamnist": _X_RAY,
    "retinamnist": (
        *(*_DIGITAL, "gaussian_noise", "speckle_noise", "defocus_blur", "motion_blur"),
        *("brightness_down", "contrast_down"),
    ),
    "tissuemnist": (*_DIGITAL, "impulse_noise", "gaussian_blur", *_LIGHT),
}


def corruptions_of(text: str, where: str) -> tuple[str, ...]:
    """Return the corruptions of ``medmnist:NAME`` or ``medmnist:NAME@SIZE``.

    Raises:
        UsageError: The data is no set of MedMNIST, or a corruption's file is not on this machine.
    """
    if not text.startswith("medmnist:") or _name(text) not in CORRUPTIONS:
        hint = "its data is medmnist:NAME"
        raise UsageError(f"MedMNIST-C has no corruptions of '{text}'", where=where, hint=hint)
    for corruption in CORRUPTIONS[_name(text)]:
        path = file_of(text, corruption)
        if not path.is_file():
            hint = f"put MedMNIST-C's own {path.parent.name}/{path.name} there; {ROOT_VARIABLE} names another folder"
            raise UsageError(f"no such file: {path}", where=where, hint=hint)
    return CORRUPTIONS[_name(text)]


def file_of(text: str, corruption: str) -> Path:
    """Return where the file of one corruption lies."""
    named = os.environ.get(ROOT_VARIABLE)
    root = Path(named).expanduser() if named else medmnist_root() / "medmnistc"
    return root / _name(text) / f"{corruption}.npz"


def load(source: DataSource) -> ArrayImages:
    """Load the test images under one corruption at one severity; the other severities are skipped, not kept.

    Raises:
        UsageError: The benchmark is not of the test split, or the file is not what MedMNIST-C publishes.
        MergeError: The images do not fit in memory.
    """
    assert source.corruption is not None  # noqa: S101 -- the caller looked
    name, severity, _ = source.corruption
    if source.split != "test":
        what = f"MedMNIST-C has the split 'test' alone, not '{source.split}'"
        raise UsageError(what, where=source.where)
    path = file_of(source.text, name)
    images = channels_first(_slice(path, "test_images", severity, source.where), source.where)
    labels = class_numbers(_slice(path, "test_labels", severity, source.where), source.where)
    if len(images) != len(labels):
        raise UsageError(f"{path.name} has {len(images)} images but {len(labels)} labels", where=source.where)
    return ArrayImages(images, labels, source.names)


def _slice(path: Path, key: str, severity: int, where: str) -> NDArray[Any]:
    """Return a fifth of an array in an npz file, read without the others."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as stream:
            check_member(archive, key, where=where, share=SEVERITIES)
            return _read_slice(stream, severity, f"{key} of {path.name}", where)
    except KeyError:
        raise UsageError(f"no array '{key}' in {path.name}", where=where, hint=suggest(key, _keys(path))) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"cannot read {path.name} as an npz file: {error}", where=where) from None


def _read_slice(stream: Any, severity: int, what: str, where: str) -> NDArray[Any]:
    import numpy as np

    shape, in_columns, dtype = array_header(stream)
    if in_columns or dtype.hasobject or not shape or shape[0] % SEVERITIES:
        hint = f"it holds the test split {SEVERITIES} times"
        raise UsageError(f"{what} is no array of MedMNIST-C", where=where, hint=hint)
    part = (shape[0] // SEVERITIES, *shape[1:])
    array = np.empty(part, dtype)
    stream.seek(array.nbytes * (severity - 1), os.SEEK_CUR)
    room = memoryview(array.data).cast("B")
    while room:
        read_bytes = stream.readinto(room)
        if not read_bytes:
            raise ValueError("it is cut short")
        room = room[read_bytes:]
    return array


def _keys(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _name(text: str) -> str:
    return text.removeprefix("medmnist:").partition("@")[0]
