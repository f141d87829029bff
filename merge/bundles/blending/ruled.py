"""What takes the place of the ``forward`` of a module that a rule computes for."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .rules.site import Site
from .rules.table import Rule


class Ruled:
    """Computes by a rule while samples have weights of their own, else as the module itself does.

    Args:
        site: The module, its counterpart and how they are mixed.
        rule: The rule.
    """

    def __init__(self, site: Site, rule: Rule) -> None:
        self._site, self._rule, self._forward = site, rule, site.first.forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module."""
        moment = self._site.moment
        if isinstance(moment.weight, Tensor):
            return self._rule(self._site, *args, **kwargs)
        recording = moment.recording
        with moment.record(False):
            output = self._forward(*args, **kwargs)
        if recording and isinstance(output, Tensor):
            moment.axes.record(self._site.name, [output])
        return output
