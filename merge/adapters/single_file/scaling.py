"""The factor of a module's difference: alpha over the rank, from the file itself or from what its metadata say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...checkpoints.checkpoint import FileCheckpoint
from ...errors import MergeError
from ...json_text import parse_json
from ..config import AdapterConfig
from .keys import Keys, Parts
from .scalars import read_number

METADATA = "lora_adapter_metadata"  # what diffusers writes: PEFT's configuration of every component
_COMPONENTS = ("unet.", "text_encoder", "diffusion_model.", "transformer.", "down_blocks.", "up_blocks.", "mid_block.")


class Scaling:
    """Tells factors.

    Without an alpha the factor is 1, as in kohya's scripts and in diffusers. Only where PEFT wrote the names, and
    diffusers did not, nothing tells whether there was an alpha.

    Args:
        keys: The adapter's tensors.
        weights: The adapter's file.
        base: The base's config.json.
        where: The adapter, for messages.

    Raises:
        MergeError: Nothing tells the factors.
    """

    def __init__(self, keys: Keys, weights: FileCheckpoint, base: Mapping[str, Any], where: str) -> None:
        self._weights, self._where = weights, where
        self._configs = _configs(weights.metadata, where)
        has_alpha = any("alpha" in parts for parts in keys.modules.values())
        components = tuple(name for name in _COMPONENTS if name != "transformer." or not base.get("architectures"))
        of_peft = any(_is_of_peft(module, parts, components) for module, parts in keys.modules.items())
        if of_peft and not has_alpha and not self._configs:
            hint = "an adapter needs it for its rank and scale; put it beside the file, or save it with save_pretrained"
            raise MergeError("has no adapter_config.json, and nothing in it tells its scale", where=where, hint=hint)

    def of(self, module: str, parts: Parts, rank: int | None) -> float:
        """Return the factor of a module of this rank; None is what is not factorised, and taken as it is.

        Raises:
            MergeError: Alpha is no sound number.
        """
        alpha = read_number(parts["alpha"], self._weights, self._where) if "alpha" in parts else None
        if rank is None:
            return 1.0
        if alpha is not None:
            return (alpha or rank) / rank  # LyCORIS reads an alpha of 0 as the rank
        component = next((name for name in self._configs if module.startswith(f"{name}.")), None)
        if component is None:
            return 1.0
        inner = module.removeprefix(f"{component}.")
        config = self._configs[component]
        if config.rank(inner) != rank:
            what = f"'{module}' is of rank {rank}, and of {config.rank(inner)} by the file's metadata"
            raise MergeError(what, where=self._where)
        return config.scaling(inner)


def _is_of_peft(module: str, parts: Parts, components: tuple[str, ...]) -> bool:
    """Tell whether PEFT wrote a module's factors, and diffusers did not."""
    names = [tensor.name for tensor in parts.values()]
    written = any(".lora_A" in name or ".lora_B" in name for name in names)
    return written and (names[0].startswith("base_model.") or not module.startswith(components))


def _configs(metadata: Mapping[str, str], where: str) -> dict[str, AdapterConfig]:
    """Return the configuration of every component in a file's metadata."""
    text = metadata.get(METADATA)
    if not text:
        return {}
    try:
        values = parse_json(text)
    except ValueError as error:
        raise MergeError(f"its metadata '{METADATA}' are no JSON: {error}", where=where) from None
    if not isinstance(values, Mapping):
        raise MergeError(f"its metadata '{METADATA}' are no object", where=where)
    found: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        component, _, name = key.partition(".")
        found.setdefault(component, {})[name] = value
    return {component: AdapterConfig(f"{where}: metadata of {component}", named) for component, named in found.items()}
