"""Which tensor of the base a module of a single-file adapter means.

The trainers write a module's name with underscores for its dots and a prefix for its component, and name the UNet's
modules as diffusers does or as ldm does. So all names are compared with underscores for dots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from ...checkpoints.header import TensorInfo
from ...diffusion.modules import Place, diffusers_names
from ...diffusion.table import UNET

# Prefix of an adapter's modules ▸ what the base's modules may have in its place, the first that fits counts.
_NETWORK = ("unet_", "transformer_", "model_diffusion_model_", "")
_PREFIXES = {
    "lora_unet_": _NETWORK,
    "lora_transformer_": ("transformer_", "model_diffusion_model_", ""),
    "lora_te1_": ("text_encoder_", "text_encoders_clip_l_transformer_", "cond_stage_model_", ""),
    "lora_te2_": ("text_encoder_2_", "text_encoders_clip_g_transformer_"),
    "lora_te3_": ("text_encoder_3_", "text_encoders_t5xxl_transformer_"),
    "lora_te_": ("text_encoder_", "cond_stage_model_", ""),
    "lycoris_": (*_NETWORK, "model_"),
    "diffusion_model_": ("model_diffusion_model_", "unet_", ""),
    "lora_": ("", "model_", "transformer_"),
    "transformer_": ("transformer_", "model_diffusion_model_", ""),
    "text_encoder_2_": ("text_encoder_2_", ""),
    "text_encoder_": ("text_encoder_", ""),
    "": ("", *_NETWORK[:-1], "model_"),
}
_TEXT = ("text_encoder", "cond_stage_model.", "conditioner.", "text_encoders.", "text_model.")
# What attention processors of early diffusers are called in a text encoder ▸ its own names.
_EARLY = {
    "self_attn_to_q": "self_attn_q_proj",
    "self_attn_to_k": "self_attn_k_proj",
    "self_attn_to_v": "self_attn_v_proj",
}
_EARLY["self_attn_to_out_0"] = "self_attn_out_proj"


class Module(NamedTuple):
    """A module of the base.

    Attributes:
        name: With the component in front, in diffusers' names where it is a diffusion model.
        tensors: Where its ``weight`` and ``bias`` are, as far as it has them.
    """

    name: str
    tensors: Mapping[str, Place]

    @property
    def is_text(self) -> bool:
        """Whether it belongs to a text encoder."""
        return self.name.startswith(_TEXT)


class Modules:
    """The base's modules by every name that an adapter may have for them.

    Args:
        tensors: The base's tensors.
    """

    def __init__(self, tensors: Mapping[str, TensorInfo]) -> None:
        self._places = _places(tensors)

    def find(self, module: str) -> Module | None:
        """Return the base's module that an adapter's means, or None."""
        wanted = flat(module)
        for name in _candidates(wanted):
            if (found := self._by_name.get(name)) is not None:
                return found
        return None

    @cached_property
    def _by_name(self) -> dict[str, Module]:
        grouped: dict[str, dict[str, Place]] = {}
        for name, place in self._places.items():
            module, _, leaf = name.rpartition(".")
            if leaf in ("weight", "bias"):
                grouped.setdefault(module, {})[leaf] = place
        found: dict[str, Module] = {}
        for module, places in grouped.items():
            found.setdefault(flat(module), Module(module, places))
        return found


def flat(name: str) -> str:
    """Return a name with underscores for its dots."""
    return name.replace(".", "_")


def _places(tensors: Mapping[str, TensorInfo]) -> dict[str, Place]:
    """Return where every tensor is by its name in diffusers' layout, and by its own where that has no other."""
    known = diffusers_names(tensors)
    named = {place.name for place in known.values()}
    return known | {name: Place(name, tensor.shape) for name, tensor in tensors.items() if name not in named}


def _candidates(wanted: str) -> Iterator[str]:
    """Yield what a module may be called in the base, with underscores for dots."""
    prefix = next(prefix for prefix in _PREFIXES if wanted.startswith(prefix))
    rest = wanted[len(prefix) :]
    for front in _PREFIXES[prefix]:
        yield front + rest
        if front == "unet_":
            yield front + in_diffusers(rest)
    for early, own in _EARLY.items():
        if wanted.endswith(early):
            yield wanted.removesuffix(early) + own
    if not prefix and rest.startswith("unet_"):
        yield "unet_" + in_diffusers(rest.removeprefix("unet_"))


def in_diffusers(name: str) -> str:
    """Return the name in diffusers of a module of the UNet that is given in ldm's, both with underscores."""
    end = len(name)
    while end > 0:
        place = _UNET_PLACES.get(name[:end])
        if place is not None:
            leaf = name[end + 1 :]
            return "_".join(part for part in (place, _UNET_LEAVES.get(leaf, leaf)) if part)
        end = name.rfind("_", 0, end)
    return name


_UNET_PLACES = {flat(own): flat(other) for own, other in UNET.places.items()}
_UNET_LEAVES = {flat(own): flat(other) for own, other in UNET.leaves.items()}
