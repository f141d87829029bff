"""What architecture a checkpoint has: the transformers configuration of the first place that has one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.checkpoint import read_json_object
from ..errors import MergeError, UsageError
from .foreign_code import NEVER_RUN, refuse_kernels
from .model_name import CONFIG, MAIN, ModelName, folder_name
from .quiet import quiet_transformers

if TYPE_CHECKING:
    from .candidate import Candidate


def configuration(candidate: Candidate, override: str | None, fallback: Path | None) -> Any:
    """Return the transformers configuration of a checkpoint that is no vision model.

    Args:
        candidate: The model; its folder may have a ``config.json``.
        override: What ``--model`` says: a folder, or ``hf:NAME``; goes first.
        fallback: The folder that the benchmark names, used when no ``config.json`` lies beside the weights.

    Raises:
        UsageError: Nothing says what architecture the checkpoint has.
        MergeError: The configuration cannot be read.
    """
    from .networks.build import choose_model

    model = choose_model(candidate, override, folder_name(fallback, str(fallback)) if fallback else None)
    if model.kind not in ("folder", "hf"):
        hint = "a folder with a config.json, or hf:NAME"
        raise UsageError(f"'{model.label}' is no model of transformers", where=model.where, hint=hint)
    return read_configuration(model)


def read_configuration(model: ModelName) -> Any:
    """Read the configuration of a folder or of a hub's model. Raises MergeError when it cannot be read or is code."""
    from transformers import AutoConfig

    folder = settings_folder(model, (CONFIG,))
    if (Path(folder) / CONFIG).is_file():
        refuse_kernels(read_json_object(Path(folder) / CONFIG), model.name)
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        first_line = str(error).strip().partition("\n")[0]
        hint = NEVER_RUN if "custom code" in first_line else None
        raise MergeError(f"cannot read the configuration: {first_line}", where=model.name, hint=hint) from None


def settings_folder(model: ModelName, needed: Sequence[str]) -> str:
    """Return the folder where a model's configuration and tokenizer lie, fetched first where the hub has them.

    Args:
        model: A folder, or a model on the hub; a local folder of its name goes first.
        needed: Files of which one must be there.

    Raises:
        MergeError: It cannot be fetched, or none of the files is there and the network is off.
    """
    if model.kind != "hf" or Path(model.name).is_dir():
        return model.name
    from .hub import fetch_settings

    return str(fetch_settings(hub_name(model), needed))


def hub_name(model: ModelName) -> str:
    """Return what the hub calls a model: ``org/name``, with ``@revision`` unless that is the default one."""
    return model.name if model.detail in ("", MAIN) else f"{model.name}@{model.detail}"
