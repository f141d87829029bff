"""Why matrices and filters are found without least squares."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ..calibration.left_out import BOTH_WAYS, CONVOLUTION, EMBEDDING, GROUPED, NOT_RUN

OTHER_ROWS = "applied to other rows in the two models, as a router's experts are"
SAME = "reads the same in both models, so that their average is exact"


class Uses(NamedTuple):
    """How parameters were used, by their names.

    Attributes:
        looked_up: Tables of embeddings.
        mixed: Matrices that were multiplied by as they are and transposed.
        other_rows: Those that were applied to other numbers of rows in the two models.
        differing: Those whose inputs differed.
        filters: Those of convolutions.
        reads: All that are multiplied on one axis.
    """

    looked_up: Collection[str]
    mixed: Collection[str]
    other_rows: Collection[str]
    differing: Collection[str]
    filters: Collection[str]
    reads: Collection[str]


def why_unsolved(name: str, uses: Uses, *, convolutions: bool) -> str:
    """Return why a parameter has no Gram matrix; ``convolutions`` tells whether filters were to have some."""
    for those, reason in ((uses.looked_up, EMBEDDING), (uses.mixed, BOTH_WAYS), (uses.other_rows, OTHER_ROWS)):
        if name in those:
            return reason
    if name not in uses.reads:
        return GROUPED if name in uses.filters else NOT_RUN
    if name not in uses.differing:
        return SAME
    return GROUPED if convolutions else CONVOLUTION
