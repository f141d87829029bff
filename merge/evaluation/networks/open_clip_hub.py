"""What architectures of open_clip take from elsewhere besides their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...checkpoints.checkpoint import read_json_object
from ..model_name import MAIN, OPEN_CLIP_CONFIG, ModelName

TEXT_MODEL = "hf_model_name"  # whose configuration some text towers have
TOKENIZER = "hf_tokenizer_name"


def fetch_for_texts(model: ModelName, key: str, needed: Sequence[str]) -> None:
    """Fetch what an architecture's text tower needs of the hub, so that open_clip finds it in the cache.

    Args:
        model: An architecture that open_clip has; a folder has what it needs.
        key: Which name in the architecture's ``text_cfg``.
        needed: Files of which one must be there.

    Raises:
        MergeError: It cannot be fetched; at once, where open_clip itself would try six times.
    """
    from ..hub import fetch_settings

    if Path(model.name).is_dir():
        return
    if name := text_settings(model).get(key):
        fetch_settings(name, needed)


def check_text_model(model: ModelName) -> None:
    """Refuse a text tower whose configuration is code: open_clip would have transformers ask whether to run it.

    Raises:
        MergeError: It is, or it cannot be read.
    """
    from ..configuration import read_configuration

    if name := text_settings(model).get(TEXT_MODEL):
        read_configuration(ModelName("hf", str(name), MAIN, str(name), model.where))


def tokenizer_options(model: ModelName) -> dict[str, Any]:
    """Return what keeps a tokenizer of transformers from code of its own, whatever the architecture asks for."""
    return {"trust_remote_code": False} if text_settings(model).get(TOKENIZER) else {}


def text_settings(model: ModelName) -> Mapping[str, Any]:
    """Return what an architecture says of its text tower: ``text_cfg`` of a folder, or of open_clip itself.

    Raises:
        MergeError: The folder's file is broken.
    """
    if Path(model.name).is_dir():
        config = read_json_object(Path(model.name) / OPEN_CLIP_CONFIG).get("model_cfg")
    else:
        config = _known(model)
    found = config.get("text_cfg") if isinstance(config, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _known(model: ModelName) -> Any:
    import open_clip

    from .open_clip_models import open_clip_name

    return open_clip.get_model_config(open_clip_name(model))
