"""Permutation alignment: groups of units that may be reordered, and the order that fits another model."""
