"""The tokenizer of a checkpoint: from where its configuration comes from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError
from ..configuration import settings_folder
from ..model_name import parse_model_name
from ..quiet import quiet_transformers

if TYPE_CHECKING:
    from ..candidate import Candidate

# One of these lies in the folder of every tokenizer that transformers has saved.
FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "vocab.json",
    "vocab.txt",
)
# transformers' stand-in for "no limit is stated" is 1e30.
LONGEST_STATED = 10**9


def load_tokenizer(candidate: Candidate, override: str | None, fallback: Path | None) -> Any:
    """Return the transformers tokenizer of a model.

    Args:
        candidate: The model; its folder may have a tokenizer.
        override: What ``--model`` says: a folder, or ``hf:NAME``; goes first.
        fallback: The folder that the benchmark names, used when the model's own has none.

    Raises:
        UsageError: There is no tokenizer.
        MergeError: It cannot be loaded.
    """
    from transformers import AutoTokenizer

    name = _place(candidate, override or candidate.model, fallback)
    try:
        with quiet_transformers():
            return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:  # broken files end in errors of many types, plain Exception among them
        first_line = str(error).strip().partition("\n")[0]
        raise MergeError(f"cannot load the tokenizer: {first_line}", where=name) from None


def stated_length(tokenizer: Any) -> int | None:
    """Return how many tokens the tokenizer says its model takes, or None where it does not say."""
    length = tokenizer.model_max_length
    return int(length) if length < LONGEST_STATED else None


def _place(candidate: Candidate, override: str | None, fallback: Path | None) -> str:
    """Return the folder where the tokenizer lies, fetched first where the hub has it."""
    folders = [candidate.folder, fallback]
    if override is not None:
        named = parse_model_name(override, "--model")
        if named.kind == "hf":
            return settings_folder(named, FILES)
        folders = [Path(named.name)]
    for folder in folders:
        if folder is not None and any((folder / file).is_file() for file in FILES):
            return str(folder)
    hint = "put tokenizer.json beside the weights, or name a folder that has one: --model DIR, or 'model:'"
    raise UsageError("no tokenizer beside the weights", where=candidate.name, hint=hint)
