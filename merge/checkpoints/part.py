"""Some tensors of another checkpoint, under other names: what a part of a stack takes of a model."""

from __future__ import annotations

from .derived import DerivedSource


class PartSource(DerivedSource):
    """Another source of which some tensors go by other names; their bytes are the source's own."""
