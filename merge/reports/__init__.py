"""Reports: one mapping ▸ ``results.json``, ``report.md`` and a self-contained ``report.html``."""

from __future__ import annotations

from .environment import describe_environment
from .write import check_directory, write_report

__all__ = ["check_directory", "describe_environment", "write_report"]
