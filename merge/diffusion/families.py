"""Which family a diffusion model is of, from the names and shapes of its tensors alone."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from ..checkpoints.header import TensorInfo
from .known import OTHERS, is_diffusion
from .modules import Place, diffusers_names

# Transformer layers of the attention on each level of the UNet on the way down, then in the middle.
_DEPTHS = {
    (1, 1, 1, 0, 1): "sd",
    (0, 2, 10, 10): "sdxl",
    (0, 4, 4, 0, 4): "sdxl-refiner",
}
_CONTEXT = {768: "sd1", 1024: "sd2"}  # width of the text encoder that the UNet looks at
_VARIANTS = {4: "", 5: "depth", 7: "upscaler", 8: "instruct-pix2pix", 9: "inpainting"}  # channels that come in
TITLES = {
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL base",
    "sdxl-refiner": "SDXL refiner",
    "sd3": "Stable Diffusion 3",
    "flux": "Flux",
}


class Family(NamedTuple):
    """A family of diffusion models.

    Attributes:
        name: ``sd1``, ``sd2``, ``sdxl``, ``sdxl-refiner``, or ``sd3`` and ``flux``, which are recognised and no more.
        variant: What its UNet takes beside the noisy image: ``inpainting``, ``instruct-pix2pix``, ``depth``,
            ``upscaler``; empty for nothing.
        layout: Whose names its tensors have: ``ldm`` (one file) or ``diffusers`` (a folder of components).
    """

    name: str
    variant: str
    layout: str

    @property
    def title(self) -> str:
        """The family in words, ``SDXL base (inpainting)``."""
        return TITLES[self.name] + (f" ({self.variant})" if self.variant else "")


def family_of(tensors: Mapping[str, TensorInfo]) -> Family | None:
    """Return the family of a diffusion model, whatever its layout; None for what is none or has no UNet.

    Args:
        tensors: The tensors of the checkpoint.
    """
    return family_among(diffusers_names(tensors), tensors)


def family_among(places: Mapping[str, Place], tensors: Container[str]) -> Family | None:
    """Return the family of a diffusion model; see `family_of`.

    Args:
        places: What `diffusers_names` found.
        tensors: The names of the checkpoint's tensors.
    """
    conv_in = places.get("unet.conv_in.weight")
    if conv_in is None or "unet.conv_out.weight" not in places:  # a ControlNet has the first half alone
        return _other(tensors)
    name = _DEPTHS.get(_depths(places), "")
    name = _generation(places) if name == "sd" else name
    if not name:
        return None
    channels = conv_in.shape[1] if len(conv_in.shape) == 4 else 0
    layout = "diffusers" if conv_in.name.endswith("conv_in.weight") else "ldm"
    return Family(name, _VARIANTS.get(channels, f"{channels} channels"), layout)


def described(tensors: Mapping[str, TensorInfo]) -> str | None:
    """Return what a checkpoint is in words, ``SDXL base, ldm names``; None for what is no diffusion model.

    Args:
        tensors: The tensors of the checkpoint.
    """
    family = family_of(tensors) if is_diffusion(tensors) else None
    return None if family is None else f"{family.title}, {family.layout} names"


def _other(tensors: Container[str]) -> Family | None:
    for name, (family, layout) in OTHERS.items():
        if name in tensors:
            return Family(family, "", layout)
    return None


def _depths(places: Mapping[str, Place]) -> tuple[int, ...]:
    """Return the number of transformer layers on each level of the UNet on the way down, and in the middle."""
    levels = 1 + max((int(name.split(".")[2]) for name in places if name.startswith("unet.down_blocks.")), default=-1)
    fronts = [*(f"unet.down_blocks.{level}" for level in range(levels)), "unet.mid_block"]
    return tuple(_depth(places, f"{front}.attentions.0.transformer_blocks.") for front in fronts)


def _depth(places: Mapping[str, Place], front: str) -> int:
    depth = 0
    while f"{front}{depth}.norm1.weight" in places:
        depth += 1
    return depth


def _generation(places: Mapping[str, Place]) -> str:
    """Tell Stable Diffusion 1 from 2: by the width of the text encoder, else by linear layers for 1x1 convolutions."""
    front = "unet.down_blocks.0.attentions.0"
    key = places.get(f"{front}.transformer_blocks.0.attn2.to_k.weight")
    if key is not None and key.shape[-1] in _CONTEXT:
        return _CONTEXT[key.shape[-1]]
    projection = places.get(f"{front}.proj_in.weight")
    return "sd2" if projection is not None and len(projection.shape) == 2 else "sd1"
