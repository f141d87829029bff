"""Which unit of one model belongs to which of another: by weights (coordinate descent) or by activations.

match_weights      two checkpoints, read tensor by tensor (Git Re-Basin, arXiv 2209.04836, section 3.2)
match_activations  two networks over the same data (section 3.1)
match_straight_through
                   by gradients of the loss halfway between two models (section 3.3)
match_many         three or more checkpoints: each to the first, to their medoid, to the mean of the others (section
                   5), or all at once to a universe (C2M3, arXiv 2405.17897)
with_distances     how far every pair of models is apart that were each matched to the first
"""

from __future__ import annotations

from .activations import match_activations
from .many import match_many
from .matched import GroupReport, Matched, MatchReport
from .readers import CheckpointReader, Reader, StateReader
from .several_reports import with_distances
from .straight_through import match_straight_through
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
    "match_straight_through",
    "match_weights",
    "with_distances",
]
