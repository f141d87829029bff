"""How encoded images, each of a size of its own, are brought to the size that a model takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from ..errors import UsageError, suggest
from ..section import Section

Interpolation = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class Resizing:
    """Resize so that the image just covers a frame, then crop the middle.

    Attributes:
        interpolation: Between pixels; both are antialiased.
        crop: Side of the crop over the side of the frame. 1, CLIP's, crops only what is not square.
        size: Height and width in pixels, for models that state none.
    """

    interpolation: Interpolation = "bicubic"
    crop: float = 1.0
    size: int | None = None


def read_resizing(data: Section) -> Resizing:
    """Read ``size`` and ``resize`` of a benchmark's data. Raises UsageError with the place of what is wrong."""
    if "resize" not in data.mapping:
        return Resizing(size=_size(data))
    resize = data.section("resize")
    resize.check_keys(("interpolation", "crop"))
    interpolation = resize.text("interpolation", "bicubic")
    if interpolation not in get_args(Interpolation):
        hint = suggest(interpolation, get_args(Interpolation)) or "bicubic or bilinear"
        raise UsageError(f"no interpolation '{interpolation}'", where=resize.where("interpolation"), hint=hint)
    crop = resize.number("crop")
    if crop is not None and not 0 < crop <= 1:
        raise UsageError("'crop' is a share of the side, above 0 and at most 1", where=resize.where("crop"))
    return Resizing(cast("Interpolation", interpolation), 1.0 if crop is None else crop, _size(data))


def _size(data: Section) -> int | None:
    size = data.mapping.get("size")
    if size is None and "size" not in data.mapping:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UsageError(f"'size' must be a whole number of pixels, not {size!r}", where=data.where("size"))
    return int(size)
