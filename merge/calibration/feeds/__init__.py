"""Models and data ▸ what calibration runs: a network for every kind of model, and items prepared for it."""

from __future__ import annotations

from .in_memory import sample_from_tensors, subject_from_module

__all__ = ["sample_from_tensors", "subject_from_module"]
