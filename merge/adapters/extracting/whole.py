"""Tensors that are saved as they are: modules of their own, trained biases, and parameters outside of every module."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from ...checkpoints.header import TensorInfo
from ...errors import MergeError

_PARAMETRISED = ".parametrizations."  # in torch's names of the parameters that a weight is computed from


@dataclass
class SavedWhole:
    """What is saved of the tuned model as it is.

    Attributes:
        tensors: The tuned model's tensors by their names in the network.
        modules: What `modules_to_save` lists; PEFT keeps a copy of the whole module for each.
        has_biases: Whether biases of layers are among the tensors.
        is_tied: Whether a layer is among the modules whose weight others have too. PEFT wants it for each of them.
    """

    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    has_biases: bool = False
    is_tied: bool = False


def saved_whole(
    wanted: Collection[str],
    tuned: Mapping[str, TensorInfo],
    layers: Collection[str],
    ties: Mapping[str, Sequence[str]],
    where: str,
) -> SavedWhole:
    """Return what has to be saved so that these tensors are.

    Args:
        wanted: Names in the network.
        tuned: All tensors of the tuned model by their names in the network.
        layers: Modules that can have factors; of these a bias is saved alone.
        ties: By name of a module, the others that have the same weight.
        where: The tuned model's place.

    Raises:
        MergeError: PEFT has no name for one of them that is not another's too.
    """
    found = SavedWhole()
    containers = {part for name in tuned for part in _parents(name.rpartition(".")[0])}
    modules: dict[str, None] = {}
    for name in wanted:
        module, _, leaf = name.rpartition(".")
        if leaf == "bias" and (module in layers or module in ties):  # of a tied layer the bias alone is in the file
            found.tensors[name], found.has_biases = tuned[name], True
        elif not module or module in containers or _PARAMETRISED in module:  # which no wrapper can hold
            found.tensors[name] = tuned[name]
        else:
            modules[module] = None
    for module in modules:
        found.tensors |= {name: tensor for name, tensor in tuned.items() if name.rpartition(".")[0] == module}
    found.modules = list(modules)
    for module in modules:
        for other in ties.get(module, ()):
            found.tensors.setdefault(f"{other}.weight", tuned[f"{module}.weight"])
            found.is_tied = True
    _check_names(found.modules, tuned, where)
    return found


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _check_names(modules: list[str], tuned: Mapping[str, TensorInfo], where: str) -> None:
    """Refuse modules whose names end those of others: PEFT would take these for them too."""
    known = {name.rpartition(".")[0] for name in tuned} - set(modules)
    for module in modules:
        other = next((name for name in known if name.endswith(module)), None)
        if other is not None:
            what = f"'{module}' cannot be saved whole: PEFT would take '{other}' for it too, whose name ends in it"
            raise MergeError(what, where=where, hint=f"--skip '{module}' leaves it as the base has it")
