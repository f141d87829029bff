"""Diffusion models: their families, and one set of names for the layouts in which they are saved."""
