"""Folders of models that hold code, which leaves a file behind if it ever runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

CODE = """
from pathlib import Path
Path({mark!r}).write_text("ran")
from transformers import CLIPTokenizer, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
class OwnConfig(PreTrainedConfig): model_type = "own"
class OwnModel(PreTrainedModel): pass
class OwnTokenizer(CLIPTokenizer): pass
"""
AUTO = ("AutoModel", "AutoModelForImageClassification", "AutoModelForCausalLM", "AutoModelForSequenceClassification")
AUTO_MAP: dict[str, Any] = {"AutoConfig": "own.OwnConfig", **dict.fromkeys(AUTO, "own.OwnModel")}
TOKENIZER_MAP = {"AutoTokenizer": ["own.OwnTokenizer", "own.OwnTokenizer"]}


def mark_of(folder: Path) -> Path:
    """Return the file that code of a folder would leave behind."""
    return folder / "the-code-ran"


def put_code(folder: Path) -> None:
    """Put code into a folder, under the names by which libraries look for it."""
    for name in ("own", "modeling_own", "configuration_own", "tokenization_own"):
        (folder / f"{name}.py").write_text(CODE.format(mark=str(mark_of(folder))))


def with_code(source: Path, folder: Path, **changes: Any) -> Path:
    """Copy a model's folder, put code into it, and have both configurations name that code.

    Args:
        source: The model's.
        folder: The copy.
        changes: To config.json.
    """
    shutil.copytree(source, folder)
    put_code(folder)
    change(folder / "config.json", auto_map=AUTO_MAP, **changes)
    if (folder / "tokenizer_config.json").is_file():
        change(folder / "tokenizer_config.json", auto_map=TOKENIZER_MAP, tokenizer_class="OwnTokenizer")
    return folder


def change(path: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
