"""The base's modules that a single-file adapter means, all of them or an error."""

from __future__ import annotations

from ...checkpoints.checkpoint import FileCheckpoint
from ...errors import MergeError
from .keys import Keys
from .modules import Module, Modules
from .origin import Origin


def find_modules(keys: Keys, base: FileCheckpoint, where: str, origin: Origin) -> dict[str, Module]:
    """Return the base's modules by the adapter's names for them.

    Args:
        keys: The adapter's tensors.
        base: What it is baked into.
        where: The adapter, for messages.
        origin: What it was trained on.

    Raises:
        MergeError: The base lacks one, or two names mean one.
    """
    modules = Modules(base.tensors)
    found: dict[str, Module] = {}
    lacking, seen = [], dict[str, str]()
    for name in keys.modules:
        module = modules.find(name)
        if module is None:
            lacking.append(name)
            continue
        if seen.setdefault(module.name, name) != name:
            what = f"'{name}' and '{seen[module.name]}' are both '{module.name}' of the base"
            raise MergeError(what, where=where)
        found[name] = module
    if lacking:
        what = f"adapts '{lacking[0]}', which {base.location} does not have"
        raise MergeError(what + _share(len(lacking), len(keys.modules)), where=where, hint=origin.hint)
    return found


def _share(lacking: int, total: int) -> str:
    """Return how many of an adapter's modules are lacking, in words."""
    return "" if total == 1 else f"; of {total} modules it lacks {'all' if lacking == total else lacking}"
