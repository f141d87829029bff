"""To which methods a number for each block means something; apart, since every command asks for its help."""

from __future__ import annotations

from ..method import Method


def has_shares(method: Method) -> bool:
    """Tell whether a number for each block means something to a method."""
    weight = method.options.declarations.get("weight")
    return bool(method.share_option) or (weight is not None and weight.per_model)
