"""Partial merging: units of two models that are alike become one, others lie side by side (PLeaS, arXiv 2407.02447)."""
