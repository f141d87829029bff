"""MedMNIST's own files: where they lie, and the names of their classes."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import UsageError, suggest

SIZES = ("28", "64", "128", "224")
ROOT_VARIABLE = "MERGE_MEDMNIST_ROOT"

_ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right"),
    *("liver", "lung-left", "lung-right", "pancreas", "spleen"),
)
# The two-dimensional sets with one label an image and their label names, as in medmnist/info.py of MedMNIST 2 and 3.
CLASSES: dict[str, tuple[str, ...]] = {
    "pathmnist": (
        *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa"),
        *("cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
    ),
    "dermamnist": (
        *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions"),
        *("dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"),
    ),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("0", "1", "2", "3", "4"),
    "breastmnist": ("malignant", "normal, benign"),
    "bloodmnist": (
        *("basophil", "eosinophil", "erythroblast"),
        "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)",
        *("lymphocyte", "monocyte", "neutrophil", "platelet"),
    ),
    "tissuemnist": (
        *("Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule", "Glomerular endothelial cells"),
        *("Interstitial endothelial cells", "Leukocytes", "Podocytes", "Proximal Tubule Segments"),
        "Thick Ascending Limb",
    ),
    "organamnist": _ORGANS,
    "organcmnist": _ORGANS,
    "organsmnist": _ORGANS,
}


def medmnist_names(text: str) -> tuple[str, ...]:
    """Return the class names of ``medmnist:NAME@SIZE``."""
    return CLASSES[text.removeprefix("medmnist:").partition("@")[0]]


def medmnist_file(text: str, where: str) -> Path:
    """Return the file of ``NAME`` or ``NAME@SIZE``.

    Raises:
        UsageError: There is no such set or size, or its file is not on this machine.
    """
    name, at, size = text.partition("@")
    if name == "chestmnist":
        hint = "an image has any number of its 14 labels, so there is no one class to be right about"
        raise UsageError("chestmnist is no classification into one class", where=where, hint=hint)
    if name not in CLASSES:
        hint = suggest(name, CLASSES) or f"there are: {', '.join(CLASSES)}"
        raise UsageError(f"no MedMNIST set '{name}'", where=where, hint=hint)
    if at and size not in SIZES:
        raise UsageError(f"MedMNIST has no images of size '{size}'", where=where, hint=f"sizes: {', '.join(SIZES)}")
    path = medmnist_root() / (f"{name}.npz" if size in ("", "28") else f"{name}_{size}.npz")
    if not path.is_file():
        hint = f"put MedMNIST's own {path.name} there; {ROOT_VARIABLE} names another folder"
        raise UsageError(f"no such file: {path}", where=where, hint=hint)
    return path


def medmnist_root() -> Path:
    """Return where the package ``medmnist`` puts its files, unless the variable says otherwise."""
    named = os.environ.get(ROOT_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".medmnist"
