"""Which unit of one model belongs to which of another: by weights (coordinate descent) or by activations.

match_weights      two checkpoints, read tensor by tensor (Git Re-Basin, arXiv 2209.04836, section 3.2)
match_activations  two networks over the same data (section 3.1)
match_many         three or more checkpoints: each to the first, or to the mean of the others (section 5)
"""

from __future__ import annotations

from .activations import match_activations
from .many import match_many
from .matched import GroupReport, Matched, MatchReport
from .readers import CheckpointReader, Reader, StateReader
from .weights import match_weights

__all__ = [
    "CheckpointReader",
    "GroupReport",
    "MatchReport",
    "Matched",
    "Reader",
    "StateReader",
    "match_activations",
    "match_many",
    "match_weights",
]
