"""``merge repair``: activations of an average, brought back to those of the models that it is of."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer

from ..errors import UsageError
from .adjusting_request import declare, parameters, take

PANEL = "After merging"
_TOWARD = Annotated[
    list[str] | None,
    typer.Option(
        "--toward",
        help="A model that was averaged, its units in the order of the average's; once for each.",
        rich_help_panel="Statistics",
    ),
]


_WEIGHTS = Annotated[
    str | None,
    typer.Option("--weights", help="Their shares in the average. (default: equal ones)", rich_help_panel="Statistics"),
]


def command(**values: Any) -> None:
    """Give an average's layers the mean and spread of activations of the models that were averaged (REPAIR)."""
    from ..after.repair_run import compute_repair
    from ..after.toward import check_toward, read_shares
    from ..evaluation.locate import locate
    from .adjusting import adjust

    toward, weights = values.pop("toward") or [], values.pop("toward_weights")
    request = take("repair", values, passes=1 + len(toward))
    if request.statistics is None and not toward:
        raise UsageError("repair needs the models that were averaged", hint="give --toward A --toward B")
    if request.statistics is not None and (toward or weights):
        flag = "--toward" if toward else "--weights"
        raise UsageError(f"{flag} is for measuring on data, and a file is given", hint="leave it out")
    shares = read_shares(weights, len(toward)) if toward else ()
    locations = [locate(name) for name in toward]
    measure = partial(compute_repair, toward=locations, shares=shares)
    adjust(request, measure, lambda plan: check_toward(plan, locations))


declare(command, parameters({"toward": (_TOWARD, None), "toward_weights": (_WEIGHTS, None)}))
