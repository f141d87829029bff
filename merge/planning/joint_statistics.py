"""What a method must know of two models together: opened, or refused where it does not belong."""

from __future__ import annotations

from ..errors import UsageError
from ..method import Method
from ..recipe import Merge, Model, place_of
from .bound import Bound
from .named import Opens


def check_widening(method: Method, merge: Merge, inputs: tuple[Bound, ...], path: str) -> None:
    """Refuse what a wider network cannot be made of, or cannot be part of.

    Raises:
        UsageError: Saying what.
    """
    if path != "merge":
        what = f"{method.name} makes a network of other widths, which cannot be part of a merge"
        raise UsageError(what, where=merge.where, hint="run it by itself")
    for name, given in {"base": merge.base, "layers": merge.layers, "then": merge.then}.items():
        if given:
            what = f"{method.name} takes no {name}: nothing else has the shapes of its tensors"
            raise UsageError(what, where=merge.where, hint="leave it out")
    for model in merge.models:
        if not isinstance(model.model, str):
            raise UsageError(f"{method.name} merges models in files", where=model.where or merge.where)
    first, second = inputs
    if first == second:
        where = merge.models[1].where or merge.where
        raise UsageError("both models are the same file", where=where, hint="give two different models")


def bind_joint(method: Method, merge: Merge, opener: Opens) -> tuple[int, ...]:
    """Open the statistics of both models together; return nothing while they are still to be computed.

    Raises:
        UsageError: They are missing, given in two ways, or not one file for both models.
    """
    kind = method.statistics
    files = [model.statistics.get(kind) for model in merge.models]
    for number, model in enumerate(merge.models, start=1):
        where = model.where or merge.where
        if other := next((name for name in model.statistics if name != kind), None):
            raise UsageError(f"{method.name} takes no {other}", where=where, hint="leave it out")
        if model.data and files[number - 1]:
            what = f"model {number} has both {kind} and data, from which it would be computed"
            raise UsageError(what, where=where, hint="leave one of them out")
    _check_calibration(method, merge, is_computed=not any(files))
    if not any(files):
        _check_inputs(method, merge)
        return ()
    if files[0] != files[1]:
        what = f"{method.name} needs one {kind} file of both models, and they have different ones"
        raise UsageError(what, where=merge.where, hint=f"name it once: --{kind} FILE, or beside each model")
    position = opener.open_statistics(merge.models[0], kind)
    opener.open_statistics(merge.models[1], kind)
    return position, position


def _check_calibration(method: Method, merge: Merge, *, is_computed: bool) -> None:
    for name, value in merge.calibration.items():
        place = place_of(merge.calibration, name, merge.where)
        if not is_computed:
            what = f"'{name}' is for computing statistics, and none are computed"
            raise UsageError(what, where=place, hint="leave it out")
        method.calibration.declarations[name].check(value, place)


def _check_inputs(method: Method, merge: Merge) -> None:
    """Refuse models that are to be run on nothing, or on two things."""
    given, stands_in = [model for model in merge.models if model.data], bool(merge.calibration.get("stand_in"))
    place = place_of(merge.calibration, "stand_in", merge.where)
    if given and stands_in:
        raise UsageError("there are data, and stand-ins for them", where=place, hint="leave one of them out")
    if not stands_in and len(given) < len(merge.models):
        which = "needs data that both models are run on" if not given else _lacking(merge.models)
        hint = "give --data SPEC (data: in a recipe), --joint FILE, or --stand-in for inputs drawn at random"
        raise UsageError(f"{method.name} {which}", where=merge.where, hint=hint)


def _lacking(models: tuple[Model, ...]) -> str:
    number = next(number for number, model in enumerate(models, start=1) if not model.data)
    return f"runs both models on all data, and model {number} has none"
