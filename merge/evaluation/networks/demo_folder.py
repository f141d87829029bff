"""The folder that ``merge demo --independent`` writes: its configuration stands for a class of this package."""

from __future__ import annotations

import json
from pathlib import Path

from ...json_text import parse_json
from ..model_name import CONFIG, ModelName

MODEL_TYPE = "merge-demo-digits"
_CLASS = "DigitsNetwork"


def write_demo_configuration(folder: Path) -> None:
    """Say in a folder that the weights in it are those of the demo's network."""
    (folder / CONFIG).write_text(json.dumps({"model_type": MODEL_TYPE}, indent=2) + "\n", "utf-8")


def demo_folder(folder: Path, model: ModelName) -> ModelName | None:
    """Return the demo's network where a folder's configuration names it; nothing that lies in the folder is run."""
    try:
        found = parse_json((folder / CONFIG).read_text("utf-8"))
    except (OSError, ValueError):  # said by whoever needs the configuration
        return None
    if not isinstance(found, dict) or found.get("model_type") != MODEL_TYPE:
        return None
    source = Path(__file__).parents[2] / "demo" / "digits_network.py"
    return ModelName("file", str(source), _CLASS, model.label, model.where)
