"""An adapter in one file, as kohya's trainer, LyCORIS (LoCon) or diffusers write it."""

from __future__ import annotations

from ...checkpoints.checkpoint import FileCheckpoint
from ...checkpoints.strength import Strength
from ...errors import MergeError
from ..config import AdapterConfig
from ..differences import LowRank
from ..forms import Forms
from ..single_file.keys import Keys, Parts, sort_keys
from ..single_file.modules import in_diffusers
from ..single_file.origin import family_of_adapter
from ..single_file.scaling import Scaling
from .member import Addend, Member, strength_of
from .peft_folder import BAKE, refuse_other_types

_FACTORS = {"down", "up", "mid", "alpha"}
_UNET = "lora_unet_"


def read_single_file(location: str, weights: FileCheckpoint, strength: Strength, origin: str | None) -> Member:
    """Return an adapter in one file.

    Raises:
        MergeError: It adds something else than products of two factors, or its parts do not fit together.
    """
    keys = sort_keys(weights.tensors, location)
    _check(keys, location)
    scaling = Scaling(keys, weights, {}, location)
    addends: dict[str, Addend] = {}
    for module, parts in keys.modules.items():
        name = common_name(module)
        if name in addends:
            raise MergeError(f"adapts '{module}' twice, once under another name", where=location)
        addends[name] = _addend(module, parts, scaling, location, strength_of(module, strength))
    family = family_of_adapter(keys, weights.metadata)
    return Member(
        location, weights, AdapterConfig(location, {}), addends, is_single_file=True, family=family, origin=origin
    )


def common_name(module: str) -> str:
    """Return the name by which modules of different files are compared: trainers name those of a UNet in two ways."""
    return _UNET + in_diffusers(module.removeprefix(_UNET)) if module.startswith(_UNET) else module


def _check(keys: Keys, where: str) -> None:
    for module, parts in keys.modules.items():
        other = parts.keys() - _FACTORS
        if other:
            tensor = parts[min(other)]
            what = f"'{tensor.name}' is no factor of a LoRA, and only those can be laid side by side"
            raise MergeError(what, where=where, hint=BAKE)
        if not {"down", "up"} <= parts.keys():
            lacking = "up" if "down" in parts else "down"
            raise MergeError(f"'{module}' lacks its '{lacking}' factor", where=where, hint="save it anew")
        refuse_other_types([tensor for part, tensor in parts.items() if part != "alpha"], where)


def _addend(module: str, parts: Parts, scaling: Scaling, where: str, strength: float) -> Addend:
    up, down = parts["up"], parts["down"]
    kernel = parts.get("mid", down).shape[2:]
    shape = (*up.shape[:1], *down.shape[1:2], *kernel)
    tensors = {part: tensor for part, tensor in parts.items() if part != "alpha"}
    form = Forms(module, tensors, shape, False, where, "save it anew").form()
    assert isinstance(form.difference, LowRank)  # noqa: S101 - nothing else is left
    return Addend(form.difference, scaling.of(module, parts, form.rank) * strength, shape)
