"""Which modules give out the interpolation of their parameters without interpolated parameters, and how."""

from .table import rule_for

__all__ = ["rule_for"]
