"""Which components state in their config.json that their weights are quantised."""

from __future__ import annotations

from typing import Any

from ..scaled_settings import stated_quantisation
from .part import Part, parts_of


def stating(source: Any) -> list[Part]:
    """Return the components of a source that do; none where it is one model."""
    return [part for part in parts_of(source) if stated_quantisation(part.source.config) is not None]
