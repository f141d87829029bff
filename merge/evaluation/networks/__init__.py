"""Vision models of transformers, timm, open_clip and the user's own code, behind one small interface."""

from __future__ import annotations

from .build import build_network, check_model, choose_model
from .network import ImageNetwork

__all__ = ["ImageNetwork", "build_network", "check_model", "choose_model"]
