"""The names that transformers gives a checkpoint's tensors when it loads them, by which PEFT names what it adapts.

Vision-language models, ViT and others lie on the disk under the names of an older version of their code.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..checkpoints.checkpoint import FileCheckpoint


def loaded_names(base: FileCheckpoint) -> Mapping[str, str]:
    """Return the checkpoint's names by those in the network, of tensors that are renamed and nothing else.

    Empty where transformers does not know the architecture, is too old to tell, or is not there.
    """
    try:
        return _loaded(base)[0]
    except Exception:  # a class of transformers refuses settings in many ways; the names are then unknown
        return {}


def joined_when_loaded(base: FileCheckpoint) -> Collection[str]:
    """Return the checkpoint's tensors that transformers puts together with others when it loads them: of experts.

    Empty where `loaded_names` would be.
    """
    try:
        return _loaded(base)[1]
    except Exception:  # as above
        return ()


def _loaded(base: FileCheckpoint) -> tuple[dict[str, str], set[str]]:
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    network = build_network(base.config)
    rules = get_model_conversion_mapping(network)
    renamings = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    converters = [rule for rule in rules if isinstance(rule, WeightConverter)]
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found, joined = {}, set()
    for name, tensor in base.tensors.items():
        loaded, converter = rename_source_key(name, renamings, converters)
        if converter is None and shapes.get(loaded) == tensor.shape:
            found[loaded] = name
        elif converter is not None and loaded in shapes:
            joined.add(name)
    return found, joined


def build_network(config: Mapping[str, Any]) -> Any:
    """Build the network of a configuration without memory for its weights; only classes of transformers itself.

    Raises:
        MergeError: It names code from elsewhere; what else is wrong with it raises whatever transformers does.
    """
    import torch
    import transformers

    from ..evaluation.foreign_code import class_named, refuse_kernels
    from ..evaluation.quiet import quiet_transformers

    refuse_kernels(config, "config.json")
    with quiet_transformers(), torch.device("meta"):
        settings = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(dict(config))
        return class_named(str(config["architectures"][0]))(settings)
