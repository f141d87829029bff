"""Which base a single-file adapter was trained on, as its file says and as its modules tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

from ...checkpoints.header import TensorInfo
from ...diffusion.families import TITLES, family_of
from .keys import Keys

# What kohya's trainer and the metadata standard of model files call a base ▸ its family; the first that fits counts.
_WORDS = {
    r"sdxl_refiner|xl-v1-refiner|sdxl-refiner": "sdxl-refiner",
    r"sdxl|stable-diffusion-xl": "sdxl",
    r"\bsd_v1|stable-diffusion-v1|sd_1\.": "sd1",
    r"\bsd_v2|stable-diffusion-v2|sd_2\.": "sd2",
    r"sd3|stable-diffusion-3|sd_3": "sd3",
    r"flux": "flux",
}
_SAID = ("modelspec.architecture", "ss_base_model_version", "baseModel")
_CONTEXT = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl-refiner"}  # what the UNet's second attention looks at
_LOOKING = re.compile(r"attn2[._]to_[kv]$")
_MODULES = {
    "flux": re.compile(r"double_blocks[._]|single_transformer_blocks[._]"),
    "sd3": re.compile(r"joint_blocks[._]"),
    "sdxl": re.compile(r"^lora_te2_|^text_encoder_2\."),
}


def said_family(metadata: Mapping[str, str]) -> str | None:
    """Return the family that a file's metadata name, or None."""
    text = " ".join(metadata.get(key, "") for key in _SAID).lower()
    return next((family for words, family in _WORDS.items() if re.search(words, text)), None)


def family_of_adapter(keys: Keys, metadata: Mapping[str, str]) -> str | None:
    """Return the family for which an adapter is by its modules and shapes, else by what its metadata say, or None."""
    for module, parts in keys.modules.items():
        width = _inputs(parts) if _LOOKING.search(module) else None
        if width in _CONTEXT:
            return _CONTEXT[width]
    for family, pattern in _MODULES.items():
        if any(pattern.search(module) for module in keys.modules):
            return family
    return said_family(metadata)


def _inputs(parts: Mapping[str, TensorInfo]) -> int | None:
    """Return the number of inputs of a module by its factors, where they tell."""
    for name in ("down", "hada_w1_b", "diff"):
        if name in parts and len(parts[name].shape) > 1:
            return parts[name].shape[1]
    return None


def trained_on(metadata: Mapping[str, str]) -> str | None:
    """Return the name of the base that the trainer recorded, with the hash that user interfaces show, or None."""
    name = metadata.get("ss_sd_model_name")
    if not name:
        return None
    digest = metadata.get("ss_new_sd_model_hash") or metadata.get("ss_sd_model_hash") or ""
    return f"{name} ({digest[:10]})" if digest and digest != "None" else name


class Origin:
    """What an adapter was trained on, set against a base.

    Args:
        keys: The adapter's tensors.
        metadata: Those of its file.
        base: The base's tensors.
    """

    def __init__(self, keys: Keys, metadata: Mapping[str, str], base: Mapping[str, TensorInfo]) -> None:
        self._keys, self._metadata, self._base = keys, metadata, base

    @cached_property
    def _contradiction(self) -> str | None:
        """How adapter and base are of different families, in words, or None where they may be of one."""
        wanted = family_of_adapter(self._keys, self._metadata)
        found = family_of(self._base) if wanted else None
        if wanted is None or wanted == (found and found.name):
            return None
        what = f"it is an adapter for {TITLES[wanted]}"
        return (
            f"{what}, and the base is {found.title}"
            if found
            else f"{what}, and the base is no diffusion model that is known"
        )

    @cached_property
    def hint(self) -> str:
        """What to say where adapter and base do not fit."""
        trained = trained_on(self._metadata)
        return self._contradiction or (f"it was trained on {trained}" if trained else "is it for another base?")

    def notes(self) -> list[str]:
        """Return what the user should know where they fit."""
        trained, bundled = trained_on(self._metadata), self._keys.bundled
        notes = [f"the adapter was trained on {trained}"] if trained else []
        doubtful = self._contradiction is not None and family_of(self._base) is not None
        notes += [f"{self._contradiction}; but all of it fits"] if doubtful else []
        if bundled:
            notes.append(f"{bundled} tensors of embeddings that lie in the adapter's file are left out")
        return notes
