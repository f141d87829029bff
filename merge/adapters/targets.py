"""Which modules an adapter's configuration names, by the rules by which PEFT takes its tensors or leaves them."""

from __future__ import annotations

import re
from collections.abc import Collection

from ..errors import MergeError
from .config import AdapterConfig
from .naming import OUTPUT

_ALL_LINEAR = "all-linear"
_LAYER = r".*?\.[^.]*\.(\d+)\."  # the first number between dots, with a name in front


def check_targets(modules: Collection[str], config: AdapterConfig) -> None:
    """Refuse factors of modules that the configuration does not name: PEFT would leave them without a word.

    Raises:
        MergeError: Naming the first module and the setting.
    """
    try:
        for module in modules:
            whole = module.removesuffix(OUTPUT)
            setting = _unfit(whole if whole in modules else module, config)
            if setting:
                what = f"the adapter has factors for '{module}', which is none of its '{setting}'"
                raise MergeError(what, where=config.where, hint="do the two files belong together?")
    except re.error as error:
        raise MergeError(
            f"'target_modules' or the like is a pattern that cannot be read: {error}", where=config.where
        ) from None


def _unfit(module: str, config: AdapterConfig) -> str | None:
    """Return the setting by which a module is not adapted, or None."""
    given = config.values.get("target_modules")
    if isinstance(given, str):
        named = given.lower() == _ALL_LINEAR or re.fullmatch(given, module)
        return None if named else "target_modules"
    targets = config.names("target_modules")
    if module in targets or not targets:
        return None
    if not any(module.endswith(f".{target}") for target in targets):
        return "target_modules"
    return None if _is_in_layers(module, config) else "layers_to_transform"


def _is_in_layers(module: str, config: AdapterConfig) -> bool:
    layers = config.values.get("layers_to_transform")
    if layers is None or layers == []:
        return True
    patterns = [rf"(?:^|.*?\.){name}\.(\d+)\." for name in config.names("layers_pattern")] or [_LAYER]
    found = next((match for pattern in patterns if (match := re.match(pattern, module))), None)
    return found is not None and int(found[1]) in (layers if isinstance(layers, list) else [layers])
