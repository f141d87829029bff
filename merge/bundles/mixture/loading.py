"""A mixture from its folder, whichever way its weights are kept."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME

from .config import LogitMixtureConfig
from .embeddings import all_equal
from .members import load_member, read_members

if TYPE_CHECKING:
    from ..member import Member

# What tells where a folder of the hub is.
PLACE = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
# What transformers' automatic classes pass along, and what has no meaning for members.
OF_AUTO = ("_from_auto", "_from_pipeline", "_commit_hash", "adapter_kwargs", "trust_remote_code", *PLACE)


def load(network: Any, whole: Callable[..., Any], place: Any, *arguments: Any, **options: Any) -> Any:
    """Return a mixture, frozen and in evaluation mode.

    Args:
        network: The class of the mixture.
        whole: ``from_pretrained`` of transformers, for weights in one place.
        place: A folder, or an id of the hub.
        arguments: For ``whole``.
        options: For ``whole``, or for every member; ``device_map`` may be a list.

    Raises:
        MergeError: A member is missing, or not what it was.
    """
    devices = options.pop("device_map") if isinstance(options.get("device_map"), list | tuple) else None
    folder = Path(place) if isinstance(place, str | Path) else None
    members = read_members(folder) if folder is not None and folder.is_dir() else None
    config = _config(place, options)
    if members is None:
        found = whole(place, *arguments, config=config, **options)
    else:
        found = join(network, Path(place), members, config, options)
    model = found[0] if isinstance(found, tuple) else found  # with output_loading_info
    model.requires_grad_(False)
    if devices is not None:
        model.place(devices)
    return found


def join(
    network: Any, folder: Path, members: Sequence[Member], config: LogitMixtureConfig, options: dict[str, Any]
) -> Any:
    """Return a mixture of members that lie elsewhere."""
    own = {name: value for name, value in options.items() if name not in OF_AUTO}
    parts = zip(members, config.expert_configs(), strict=True)
    experts = [load_member(member, each, own) for member, each in parts]
    config.shared_input_embeddings = all_equal(experts)  # by the weights, which alone tell
    model = network(config, experts)
    model.names = [member.name for member in members]
    kept = (folder / GENERATION_CONFIG_NAME).is_file()
    first = copy.deepcopy(experts[0].generation_config)
    model.generation_config = GenerationConfig.from_pretrained(folder) if kept else first
    return model.eval()


def _config(place: Any, options: dict[str, Any]) -> LogitMixtureConfig:
    """Return the configuration, each expert with its own number format unless another is asked for."""
    config: Any = options.pop("config", None)
    if not isinstance(config, LogitMixtureConfig):
        known = {name: options[name] for name in PLACE if name in options}
        config = LogitMixtureConfig.from_pretrained(place, **known)
    wanted = options.get("dtype", options.get("torch_dtype"))
    if wanted not in (None, "auto"):
        config.experts = [{**expert, "dtype": str(wanted).removeprefix("torch.")} for expert in config.experts]
    found: LogitMixtureConfig = config
    return found
