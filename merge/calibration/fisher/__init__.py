"""The diagonal Fisher information of a model over data.

Matena and Raffel 2022, "Merging models with Fisher-weighted averaging", arXiv:2111.09832, section 2:

    F = 1/N sum_x E_{y ~ p(y|x)} [ (d log p(y|x) / d theta)^2 ],    entry by entry

Its labels come from the model. With the data's own labels the same sum is the empirical Fisher, another quantity
(Kunstner et al. 2019, arXiv:1905.12558).
"""

from __future__ import annotations

from .compute import compute_fisher
from .request import check_options

__all__ = ["check_options", "compute_fisher"]
