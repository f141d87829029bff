"""``merge bn-reset``: BatchNorm statistics of a checkpoint, measured anew on data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .adjusting_request import declare, parameters, take

if TYPE_CHECKING:
    from ..plan import Plan

PANEL = "After merging"


def command(**values: Any) -> None:
    """Measure the BatchNorm statistics of a merged model on data."""
    from ..after.batch_norm import compute_batch_norm
    from .adjusting import adjust

    adjust(take("bn-reset", values), compute_batch_norm, _check)


def _check(plan: Plan) -> None:
    from ..after.batch_norm_layers import check_has_layers

    source = plan.sources[plan.reference]
    check_has_layers(source.tensors, source.location)


declare(command, parameters({}))
