"""Reports: one mapping ▸ ``results.json``, ``report.md`` and a self-contained ``report.html``."""

from __future__ import annotations

from merge.reports.environment import describe_environment
from merge.reports.write import check_directory, write_report

__all__ = ["check_directory", "describe_environment", "write_report"]
