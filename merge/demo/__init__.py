"""The demo: three small models tuned from one base, souped, evaluated on held-out images, and reported."""

from __future__ import annotations

from .independent import run_independent
from .run import run_demo

__all__ = ["run_demo", "run_independent"]
