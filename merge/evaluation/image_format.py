"""What a vision model takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageFormat:
    """What a model takes: channels (None: as stored), and height and width in pixels (None: any)."""

    channels: int | None
    size: tuple[int, int] | None
