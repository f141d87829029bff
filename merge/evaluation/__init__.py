"""Evaluation: checkpoints over benchmarks, with sample counts, intervals and paired tests.

Evaluation only reports. Nothing is chosen, tuned or stopped early on the data of a benchmark, and the first model named
is the one that all the others are compared with.
"""

from __future__ import annotations

from .results import ComparisonRow, Evaluation, EvaluationDocument, ResultRow
from .run import evaluate
from .table import render_table

__all__ = ["ComparisonRow", "Evaluation", "EvaluationDocument", "ResultRow", "evaluate", "render_table"]
