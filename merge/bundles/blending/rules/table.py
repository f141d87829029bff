"""Which rule computes for which class of modules.

A module is known by the function that is its ``forward``: subclasses that add an activation or pad their input have
another one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from .attention import attention
from .norms import batch_norm, layer_norm, rms_norm
from .products import two_products

Rule = Callable[..., Any]

_OF_TORCH: Mapping[Any, Rule] = {
    nn.Linear.forward: two_products,
    nn.Conv1d.forward: two_products,
    nn.Conv2d.forward: two_products,
    nn.Conv3d.forward: two_products,
    nn.ConvTranspose1d.forward: two_products,
    nn.ConvTranspose2d.forward: two_products,
    nn.ConvTranspose3d.forward: two_products,
    nn.Embedding.forward: two_products,
    nn.GroupNorm.forward: two_products,
    nn.LayerNorm.forward: layer_norm,
    nn.RMSNorm.forward: rms_norm,
    nn.BatchNorm2d.forward: batch_norm,  # that of all BatchNorms
    nn.MultiheadAttention.forward: attention,
}
_ELSEWHERE: Mapping[tuple[str, str], Rule] = {
    ("transformers.pytorch_utils", "Conv1D"): two_products,
    ("timm.layers.linear", "Linear"): two_products,
    ("timm.layers.conv2d_same", "Conv2dSame"): two_products,
}
_READS_CHILDREN = (attention,)


def rule_for(module: nn.Module) -> Rule | None:
    """Return the rule for a module, or None."""
    function = getattr(module.forward, "__func__", None)  # None where somebody else has exchanged the method
    if function is None or _renormalizes(module):
        return None
    return _OF_TORCH.get(function) or _rule_elsewhere(function)


def reads_children(rule: Rule) -> bool:
    """Say whether a rule computes with tensors of the module's children, which are then not called."""
    return rule in _READS_CHILDREN


def _renormalizes(module: nn.Module) -> bool:
    """Say whether a module changes its weights when it is called."""
    return getattr(module, "max_norm", None) is not None


def _rule_elsewhere(function: Any) -> Rule | None:
    for (home, name), rule in _ELSEWHERE.items():
        kind = getattr(sys.modules.get(home), name, None)  # what is not imported is not in use
        if kind is not None and kind.forward is function:
            return rule
    return None
