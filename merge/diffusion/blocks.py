"""The blocks of a Stable Diffusion model under the names that block weighted merging gave them.

``IN00`` … are the UNet's input blocks, ``M00`` its middle block, ``OUT00`` … its output blocks, counted as in ldm:
12, 1 and 12 in Stable Diffusion 1 and 2 and in the refiner of SDXL, 9, 1 and 9 in SDXL. What follows the last output
block (`out.`; `conv_norm_out`, `conv_out` in diffusers) counts as part of it. ``VAE`` is the autoencoder. ``BASE`` is
everything else: text encoders, the embeddings of time, size and label in front of the input blocks, noise schedules,
moving averages.

The names are those of kohya's and bbc-mc's first tools, of SuperMerger and of sd-mecha. All put `out.` into the last
output block. They differ on `time_embed`: with bbc-mc it belongs to IN00, SuperMerger leaves it as the first model has
it, and sd-mecha puts it into BASE, as here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

BASE, MIDDLE, AUTOENCODER = "BASE", "M00", "VAE"
MOST = 12  # input blocks, and output blocks, of the families that are known
INPUTS = tuple(f"IN{number:02d}" for number in range(MOST))
OUTPUTS = tuple(f"OUT{number:02d}" for number in range(MOST))
BLOCKS = (BASE, *INPUTS, MIDDLE, *OUTPUTS, AUTOENCODER)  # in the order of lists of numbers, the VAE apart
_END = "OUT"  # what follows the last output block, whichever that is
_NAMELESS = "more than on a level of the UNets that are known"

_LDM = re.compile(
    r"(?:(?:model\.)?diffusion_model\.)?"
    r"(?:input_blocks\.(?P<input>\d+)\.|(?P<middle>middle_block)\.|output_blocks\.(?P<output>\d+)\.|(?P<end>out)\.\d+\.)"
)
_DIFFUSERS = re.compile(
    r"(?:unet\.)?(?:(?P<first>conv_in)\.|(?P<middle>mid_block)\.|(?P<end>conv_norm_out|conv_out)\.|"
    r"(?P<side>down|up)_blocks\.(?P<level>\d+)\.(?P<kind>resnets|attentions|downsamplers|upsamplers)\.(?P<layer>\d+)\.)"
)
_AUTOENCODER = ("first_stage_model.", "vae.")
_RESNETS = 2  # on each level on the way down; with the downsampler behind them, three blocks of ldm


class Blocks(NamedTuple):
    """The blocks of one model.

    Attributes:
        names: Those that it has, in the order of lists of numbers, the VAE last.
        last: Its last output block, to which `out.` belongs.
    """

    names: tuple[str, ...]
    last: str

    @property
    def numbered(self) -> tuple[str, ...]:
        """Those of its UNet, which a list of numbers without BASE has one number for each."""
        return tuple(name for name in self.names if name not in (BASE, AUTOENCODER))

    def of(self, name: str) -> str:
        """Return the block that a tensor belongs to."""
        block = _block_of(name)
        return self.last if block == _END else block


def blocks_of(names: Iterable[str]) -> Blocks | None:
    """Return the blocks of a model by the names of its tensors, in ldm's layout or diffusers'.

    Returns:
        None without a UNet, and for one that has more blocks, or more of them on a level, than have names here.
    """
    found = {_block_of(name) for name in names}
    if not found <= {*BLOCKS, _END}:
        return None
    outputs = sorted(block for block in found if block.startswith("OUT") and block != _END)
    numbered = sorted(found - {_END, BASE, AUTOENCODER})
    if not outputs or len(numbered) == len(outputs):
        return None
    order = [*([BASE] if BASE in found else []), *numbered, *([AUTOENCODER] if AUTOENCODER in found else [])]
    return Blocks(tuple(order), outputs[-1])


def _block_of(name: str) -> str:
    if name.startswith(_AUTOENCODER):
        return AUTOENCODER
    ldm = _LDM.match(name)
    if ldm:
        return _by_ldm(ldm)
    diffusers = _DIFFUSERS.match(name)
    return _by_diffusers(diffusers) if diffusers else BASE


def _by_ldm(found: re.Match[str]) -> str:
    for side, name in (("input", "IN"), ("output", "OUT")):
        if found[side]:
            return f"{name}{int(found[side]):02d}"
    return MIDDLE if found["middle"] else _END


def _by_diffusers(found: re.Match[str]) -> str:
    """Return the block that diffusers' name stands for: ldm counts on where diffusers begins a level."""
    if not found["side"]:
        return INPUTS[0] if found["first"] else MIDDLE if found["middle"] else _END
    level, layer, sampler = int(found["level"]), int(found["layer"]), found["kind"].endswith("samplers")
    if layer >= (_RESNETS if found["side"] == "down" else _RESNETS + 1):
        return _NAMELESS
    if found["side"] == "down":
        return f"IN{(_RESNETS + 1) * level + (_RESNETS if sampler else layer) + 1:02d}"
    return f"OUT{(_RESNETS + 1) * level + (_RESNETS if sampler else layer):02d}"
