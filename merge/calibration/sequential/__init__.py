"""RegMean++: blocks merged one after the other, each from Gram matrices of what the merged ones before put out."""

from __future__ import annotations

from .gather import Found, gather

__all__ = ["Found", "gather"]
