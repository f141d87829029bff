"""Two networks of one architecture run as one whose weights lie between theirs, uniformly or per sample."""

from .blending import Blending

__all__ = ["Blending"]
