"""What merges at inference weigh their members by: arithmetic on the logits of the members, float64 in numpy."""

from __future__ import annotations

from .beta_mixture import cluster
from .clusters import Clusters
from .dawin import DawinOptions, Offset, dawin_coefficients, offset_of, task_coefficients
from .divergence import LN_2, entropies, jensen_shannon
from .logits import log_probabilities
from .t3 import batch_coefficients, coefficients, pretrained_weights, summarize
from .t3_options import T3Options

__all__ = [
    "LN_2",
    "Clusters",
    "DawinOptions",
    "Offset",
    "T3Options",
    "batch_coefficients",
    "cluster",
    "coefficients",
    "dawin_coefficients",
    "entropies",
    "jensen_shannon",
    "log_probabilities",
    "offset_of",
    "pretrained_weights",
    "summarize",
    "task_coefficients",
]
