"""What architecture a checkpoint has: the transformers configuration of the first place that has one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MergeError, UsageError
from .quiet import quiet_transformers

if TYPE_CHECKING:
    from .candidate import Candidate

MAIN = "main"  # the hub's default revision


def configuration(candidate: Candidate, override: str | None, fallback: Path | None) -> Any:
    """Return the transformers configuration of a checkpoint.

    Args:
        candidate: The model; its folder may have a ``config.json``.
        override: What ``--model`` says: a folder, or ``hf:NAME``; goes first.
        fallback: The folder that the benchmark names, used when no ``config.json`` lies beside the weights.

    Raises:
        UsageError: Nothing says what architecture the checkpoint has.
        MergeError: The configuration cannot be read.
    """
    from transformers import AutoConfig

    name, revision = _config_source(candidate, override, fallback)
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise MergeError(f"cannot read the configuration: {first_line}", where=name) from None


def _config_source(candidate: Candidate, override: str | None, fallback: Path | None) -> tuple[str, str]:
    """Return a folder or a name on the hub, and the hub's revision of it."""
    if override is not None:
        return _override_source(override)
    for folder in (candidate.folder, fallback):
        if folder is not None and (folder / "config.json").is_file():
            return str(folder), MAIN
    if fallback is not None:
        raise UsageError("the benchmark's 'model' has no config.json", where=str(fallback))
    hint = "name the folder of its architecture: --model DIR, or 'model:' in the benchmark"
    raise UsageError("no config.json beside the weights", where=candidate.name, hint=hint)


def _override_source(override: str) -> tuple[str, str]:
    kind, colon, name = override.partition(":")
    if colon and kind == "hf":
        name, _, revision = name.partition("@")
        return name, revision or MAIN
    if (Path(override) / "config.json").is_file():
        return override, MAIN
    what = f"--model '{override}' is neither a folder with a config.json nor hf:NAME"
    raise UsageError(what, hint="this version builds transformers models only")
