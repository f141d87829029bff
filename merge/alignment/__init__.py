"""Permutation alignment: groups of units that may be reordered, the order that fits another model, and its application."""
