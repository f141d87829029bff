"""Small encoded images that tests make on the spot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

BROKEN = b"\x89PNG\r\n\x1a\n this is no image"


def picture(seed: int, shape: tuple[int, ...] = (32, 32, 3)) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(pixels: np.ndarray[Any, Any], form: str = "PNG", **options: Any) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def write_folder(folder: Path, classes: Sequence[str] = ("bird", "cat", "dog"), each: int = 2) -> Path:
    """Write ``CLASS/0.png`` and so on; image number i of all has the pixels of seed i."""
    for number, name in enumerate(sorted(classes)):
        (folder / name).mkdir(parents=True)
        for item in range(each):
            (folder / name / f"{item}.png").write_bytes(encoded(picture(number * each + item)))
    return folder
