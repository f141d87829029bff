"""Layers of diffusion models as kohya's trainer calls them, and with it every program that draws with them.

A module is ``lora_unet_`` or ``lora_te_`` (``lora_te1_`` and ``lora_te2_`` where there are two text encoders), then its
name in diffusers or transformers with underscores for dots, whatever names the base has.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...checkpoints.header import TensorInfo
from ...diffusion.families import Family, family_among
from ...diffusion.modules import Place, diffusers_names
from ...diffusion.unused import unused
from .kinds import WEIGHT
from .module import Module

_PREFIXES = {"unet.": "lora_unet_", "text_encoder.": "lora_te_"}
_TWO = {"unet.": "lora_unet_", "text_encoder.": "lora_te1_", "text_encoder_2.": "lora_te2_"}
_FORMS = {"sd1": _PREFIXES, "sd2": _PREFIXES, "sdxl": _TWO, "sdxl-refiner": _TWO}
# What kohya's trainer, and the standard of metadata that user interfaces read, call a family.
VERSIONS = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0", "sdxl-refiner": "sdxl_refiner_v1-0"}
ARCHITECTURES = {
    "sd1": "stable-diffusion-v1",
    "sd2": "stable-diffusion-v2-512",
    "sdxl": "stable-diffusion-xl-v1-base",
    "sdxl-refiner": "stable-diffusion-xl-v1-refiner",
}
_OF_TEXT = (".q_proj.weight", ".k_proj.weight", ".v_proj.weight", ".out_proj.weight", ".fc1.weight", ".fc2.weight")


class KohyaScheme:
    """The layers of a diffusion model.

    Args:
        tensors: The base's.
        family: What it is.
        places: Where its tensors are by their names in diffusers.
    """

    holds_whole = False

    def __init__(self, tensors: Mapping[str, TensorInfo], family: Family, places: Mapping[str, Place]) -> None:
        self._tensors, self.family = tensors, family
        self._layers: dict[str, list[Module]] = {}
        self._unused: set[str] = set()
        is_unused = unused(family.name)
        for name, place in places.items():
            found = _layer(name, place, _FORMS[family.name])
            if is_unused(name):
                self._unused.add(place.name)
            elif found is not None:
                self._layers.setdefault(place.name, []).append(found)

    def layers(self, name: str) -> list[Module]:
        """Return the layers whose weights a tensor holds: several where it is queries, keys and values in one."""
        return self._layers.get(name, [])

    def called(self, name: str) -> str:
        """Return the tensor's own name: nothing is saved as it is."""
        return name

    def in_vocabulary(self, name: str) -> bool:
        """Tell that embeddings are no layers of such an adapter."""
        return False

    def why_not(self, name: str) -> str:
        """Return why a tensor gets no factors."""
        if name in self._unused:
            return "nothing looks at it"
        is_vector = len(self._tensors[name].shape) < 2
        return "a vector" if is_vector else "no layer of the UNet or of a text encoder that adapters have"


def kohya_scheme(tensors: Mapping[str, TensorInfo]) -> KohyaScheme | None:
    """Return the layers of a diffusion model, or None for what is none or of a family without such adapters."""
    places = diffusers_names(tensors)
    family = family_among(places, tensors)
    return KohyaScheme(tensors, family, places) if family is not None and family.name in _FORMS else None


def _layer(name: str, place: Place, prefixes: Mapping[str, str]) -> Module | None:
    front = next((front for front in prefixes if name.startswith(front)), None)
    if front is None or not name.endswith(WEIGHT) or len(place.shape) not in {2, 4}:
        return None
    if front != "unet." and not name.endswith(_OF_TEXT):
        return None  # embeddings and projections
    module = name.removeprefix(front).removesuffix(WEIGHT)
    called = prefixes[front] + module.replace(".", "_")
    rows = (place.rows.start, place.rows.stop) if place.rows is not None else None
    if place.transposed:
        return Module(called, place.name, "transposed", place.shape[::-1], rows)
    return Module(called, place.name, "linear" if len(place.shape) == 2 else "convolution", place.shape, rows)
