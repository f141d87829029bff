"""mergekit's twenty methods: their parameters with mergekit's defaults, and what they are here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..errors import UsageError, suggest
from .parameters import Parameter

Base = Literal["task vectors", "if given", "first", "one more"]


@dataclass(frozen=True)
class Known:
    """One method of mergekit.

    Attributes:
        name: mergekit's name.
        ours: Our name.
        base: What ``base_model`` is: what task vectors are subtracted from, always or if given; the first of two
            models; or nothing but one more model.
        least: Fewest models besides the base.
        most: Most of them; None where any number will do.
        options: Our options that tell it from other methods of mergekit which are the same method here.
    """

    name: str
    ours: str
    parameters: tuple[Parameter, ...] = ()
    base: Base = "task vectors"
    least: int = 1
    most: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs_base(self) -> bool:
        """Whether a recipe without ``base_model`` is refused."""
        return self.base in {"task vectors", "first"}


_WEIGHT = Parameter("weight", "weight", per_model=True)


def _l1(rescale: bool) -> str:
    return "l1" if rescale else "none"


def _switch(name: str, option: str, default: bool, **more: Any) -> Parameter:
    return Parameter(name, option, default, kind="switch", **more)


def _shared(normalize: bool, rescale: Parameter) -> tuple[Parameter, ...]:
    """Return what all methods have that add up task vectors."""
    scale, mask = Parameter("lambda", "scale", 1.0), _switch("int8_mask", "", False)
    return (_WEIGHT, _switch("normalize", "normalize", normalize), rescale, scale, mask)


def _beside(name: str, default: float) -> Parameter:
    return Parameter(name, name, default, per_model=True)


_DENSITY, _GAMMA, _SPREAD = _beside("density", 1.0), _beside("gamma", 0.01), _beside("epsilon", 0.15)
_RESCALED = _switch("rescale", "rescale", True, becomes=_l1)
_NOT_RESCALED = _switch("rescale", "rescale", False, becomes=_l1)
_T = Parameter("t", "t")
_CHANGED = Parameter("epsilon", "epsilon", 1e-5)
_NUSLERP = (
    _WEIGHT,
    _switch("nuslerp_flatten", "flatten", True),
    _switch("nuslerp_row_wise", "row_wise", False),
)
_MULTISLERP = (_WEIGHT, _switch("normalize_weights", "normalize_weights", True), Parameter("eps", "eps", 1e-8))
_KARCHER = (Parameter("max_iter", "max_iter", 10, kind="whole number"), Parameter("tol", "tol", 1e-5))
_UNUSED = (Parameter("density", "", 1.0, per_model=True),)
_DARE = (_DENSITY, *_shared(False, _RESCALED))
_CRUMBS = (_DENSITY, _GAMMA, *_shared(False, _NOT_RESCALED))
_TIES, _NO_TIES = {"ties": True}, {"ties": False}

METHODS = {
    known.name: known
    for known in (
        Known("linear", "soup", (_WEIGHT, _switch("normalize", "normalize", True)), "one more"),
        Known("slerp", "slerp", (_T,), "first", most=1),
        Known("nuslerp", "nuslerp", _NUSLERP, "if given", least=2, most=2),
        Known("multislerp", "multislerp", _MULTISLERP, "if given"),
        Known("karcher", "karcher", _KARCHER, "one more"),
        Known("task_arithmetic", "task-arithmetic", (*_UNUSED, *_shared(False, _switch("rescale", "", False)))),
        Known("ties", "ties", (_DENSITY, *_shared(True, _NOT_RESCALED))),
        Known("dare_linear", "dare", _DARE, options=_NO_TIES),
        Known("dare_ties", "dare", _DARE, options=_TIES),
        Known("breadcrumbs", "breadcrumbs", _CRUMBS, options=_NO_TIES),
        Known("breadcrumbs_ties", "breadcrumbs", _CRUMBS, options=_TIES),
        Known("della", "della", (_DENSITY, _SPREAD, *_shared(True, _RESCALED)), options=_TIES),
        Known("della_linear", "della", (_DENSITY, _SPREAD, *_shared(False, _RESCALED)), options=_NO_TIES),
        Known("sce", "sce", (_switch("int8_mask", "", False), Parameter("select_topk", "select_topk", 1.0))),
        Known("model_stock", "model-stock", (_switch("filter_wise", "filter_wise", False),), least=2),
        Known("nearswap", "nearswap", (_T,), most=1),
        Known("arcee_fusion", "arcee-fusion", most=1),
        Known("passthrough", "passthrough", (_beside("scale", 1.0),), "one more", most=1),
        Known("ram", "ram", (_CHANGED,), options={"r": 0.0}),
        Known("ramplus_tl", "ram", (_CHANGED, Parameter("r", "r", 0.1), Parameter("alpha", "alpha", 0.2))),
    )
}


def find_known(name: str, where: str) -> Known:
    """Return a method of mergekit.

    Raises:
        UsageError: mergekit has none of that name.
    """
    if name not in METHODS:
        hint = suggest(name, METHODS) or f"mergekit has {_listed(METHODS)}; for other methods write `merge: METHOD`"
        raise UsageError(f"mergekit has no method '{name}'", where=where, hint=hint)
    return METHODS[name]


def check_parameter(known: Known, name: str, where: str) -> None:
    """Refuse a parameter that the method does not have.

    Raises:
        UsageError: With a suggestion.
    """
    names = [parameter.name for parameter in known.parameters]
    if name not in names:
        hint = suggest(name, names) or f"it has {_listed(names) or 'none'}"
        raise UsageError(f"mergekit's {known.name} has no parameter '{name}'", where=where, hint=hint)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
