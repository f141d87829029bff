"""What architectures of open_clip take from the hub besides their weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model_name import ModelName

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
    import open_clip

    from ..hub import fetch_settings
    from .open_clip_models import open_clip_name

    if Path(model.name).is_dir():
        return
    config = open_clip.get_model_config(open_clip_name(model)) or {}
    if name := config.get("text_cfg", {}).get(key):
        fetch_settings(name, needed)
