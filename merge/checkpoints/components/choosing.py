"""Which components of a folder have weights, and what is wrong where one has none."""

from __future__ import annotations

from collections.abc import Callable, Collection

from ...errors import MergeError, UsageError
from ..folders import PICKLE_SUFFIXES
from .declared import CONFIG, DIFFUSERS, Declared, Folder
from .part import SAFETY_CHECKER

_WEIGHTS = (".safetensors", ".st", *PICKLE_SUFFIXES)
_NOT_OURS = ("openvino_", "training_args", "optimizer", "scheduler", "rng_state")
_NO_WEIGHTS = ("Scheduler", "Tokenizer", "TokenizerFast", "Processor", "ProcessorFast", "FeatureExtractor", "Guider")
_WITH_WEIGHTS = frozenset({"Transformer", "Dense", "CNN", "LSTM", "LayerNorm", "WeightedLayerPooling"}) | {
    "CLIPModel",
    "MLMTransformer",
    "SparseStaticEmbedding",
    "StaticEmbedding",
    "WordEmbeddings",
}
NamesIn = Callable[[str], Collection[str] | None]  # the files in a folder within, None where there is none


def with_weights(folder: Folder, names_in: NamesIn, where: str) -> list[Declared]:
    """Return the components that have weights.

    Args:
        folder: What the folder says of itself.
        names_in: Lists a folder within.
        where: What stands for the folder in messages.

    Raises:
        MergeError: A component lacks its folder or its weights.
        UsageError: None has any.
    """
    found = []
    for component in folder.components:
        names = names_in(component.folder)
        if names is None and (component.must_exist or needs_weights(component, ())):
            raise _absent(component, folder, "which is missing", where)
        if has_weights(names or ()):
            found.append(component)
        elif needs_weights(component, names or ()):
            raise _absent(component, folder, "which holds no weights", where)
    if not found:
        raise UsageError(f"no component that {folder.file} names has weights", where=where)
    return found


def needs_weights(component: Declared, names: Collection[str]) -> bool:
    """Tell from a component's class and the files in its folder whether it is nothing without weights."""
    if component.kind in _WITH_WEIGHTS:
        return True
    return component.must_exist and CONFIG in names and not component.kind.endswith(_NO_WEIGHTS)


def has_weights(names: Collection[str]) -> bool:
    """Tell whether there are weights among these files."""
    return any(name.endswith(_WEIGHTS) and not name.startswith(_NOT_OURS) for name in names)


def besides(folder: Folder, root: Collection[str], folders: Collection[str], names_in: NamesIn) -> list[str]:
    """Return notes on weights within the folder that belong to none of its components.

    Args:
        folder: What it says of itself.
        root: The files in it.
        folders: The names of folders in it.
        names_in: Lists a folder within.
    """
    named = {component.folder for component in folder.components}
    notes = []
    if "" not in named:
        files = sorted(name for name in root if has_weights([name]))
        notes += [f"{name} lies beside the components and is not read" for name in files]
    if folder.library == DIFFUSERS:
        left = sorted(name for name in folders if name not in named and has_weights(names_in(name) or ()))
        notes += [f"{name} holds weights and is not read: {folder.file} does not name it" for name in left]
    return notes


def _absent(component: Declared, folder: Folder, what: str, where: str) -> MergeError:
    hint = "download it again"
    if component.folder == SAFETY_CHECKER:
        hint = f'{hint}, or do without it: "{SAFETY_CHECKER}": [null, null] in {folder.file}'
    name = component.folder or "the folder itself"
    return MergeError(f"{folder.file} names {name} ({component.kind}), {what}", where=where, hint=hint)
