"""Image corruptions of ImageNet-C, and the errors under them in one number.

Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations"
(arXiv:1903.12261). Written from the published definitions; at 32, 64 and 224 pixels with the constants that the authors
published for that size. Two of their 19 corruptions are missing: frost needs their photographs of frost, and spatter
(one of the four that do not count in the paper's mean) needs the edge detector of a particular library.

Numbers are comparable among models that saw the same corrupted images. They are not those of the published data set:
the random numbers differ, frost is missing, and ImageNet-C was stored as JPEG of quality 85 after corrupting.
"""

from __future__ import annotations

from .alexnet import ALEXNET_CLEAN_ERROR, ALEXNET_ERRORS
from .apply import NAMES, SEVERITIES, corrupt
from .summary import (
    corruption_errors,
    mean_corruption_error,
    relative_corruption_errors,
    relative_mean_corruption_error,
)

__all__ = [
    "ALEXNET_CLEAN_ERROR",
    "ALEXNET_ERRORS",
    "NAMES",
    "SEVERITIES",
    "corrupt",
    "corruption_errors",
    "mean_corruption_error",
    "relative_corruption_errors",
    "relative_mean_corruption_error",
]
