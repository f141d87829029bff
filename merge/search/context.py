"""What decides about a score besides the weights: benchmarks, architecture, configurations, rules of the merge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from ..evaluation.model_name import ModelName
from .objective import Objective

if TYPE_CHECKING:
    from ..plan import Plan
    from .resetting import Resetting

WHOLE_BYTES = 2**28  # files and folders that are larger are told by sizes and times of change
CONFIGURATION = (".json", ".txt", ".model", ".jinja")  # configuration, tokenizer, processor


def context_of(objective: Objective, *more: object, reset: Resetting | None = None) -> str:
    """Return a digest of everything besides the weights that decides about a score.

    Files and folders stand for their contents, wherever they lie.

    Args:
        objective: The benchmarks, loaded.
        more: What else counts.
        reset: What measures BatchNorm statistics before every evaluation.
    """
    settings = objective.settings
    architecture = _architecture(settings.model) if settings.model else None
    facts = [
        *map(_plain, objective.benchmarks),
        objective.metric,
        architecture,
        settings.precision,
        settings.seed,
        more,
    ]
    if reset is not None:
        drawn = [reset.settings.seed, reset.settings.batch_size]
        facts += [*map(_plain, reset.data.benchmarks), _plain(reset.options), drawn]
    return xxhash.xxh3_128_hexdigest(json.dumps(facts, sort_keys=True, default=str).encode())


def rules_of(plan: Plan) -> list[object]:
    """Return what makes an average of models more than its members: what is kept, cast, left out, and configured."""
    from ..plan import folder_beside

    recipe = plan.recipe
    base = recipe.merge.base
    based = None if base is None else _digest(Path(str(base.model)))
    output = recipe.output
    rules = [recipe.keep, recipe.missing, recipe.mismatch, output.dtype, output.overflow, output.rounding, based]
    drawn = [recipe.seed] if output.rounding == "stochastic" else []
    return [*rules, *drawn, configuration_digest(folder_beside(plan))]


def configuration_digest(folder: Path | None) -> str | None:
    """Return a digest of the configuration and tokenizer in a model's folder."""
    if folder is None:
        return None
    files = sorted(path for path in folder.iterdir() if path.suffix in CONFIGURATION and ".index." not in path.name)
    return xxhash.xxh3_128_hexdigest("".join(f"{path.name}\0{_digest(path)}\n" for path in files).encode())


def _architecture(model: str) -> list[str]:
    """Return what ``--model`` says, with the contents of the file or folder in it."""
    file = model.rpartition(":")[0] if ":" in model else model
    return [model, _digest(Path(model)), _digest(Path(file)) if file.endswith(".py") else ""]


def _plain(value: Any) -> Any:
    """Return a benchmark as plain data, in which files stand for their contents."""
    if isinstance(value, ModelName):
        return [value.kind, _digest(Path(value.name)), value.detail]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value) if one.name != "where"}
    if isinstance(value, Path):
        return _digest(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _digest(path: Path) -> str:
    """Return what stands for the contents of a file or folder; for what is neither, its name."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        whole = sum(file.stat().st_size for file in files) <= WHOLE_BYTES
        return xxhash.xxh3_128_hexdigest(json.dumps(list(_listing(path, files, whole=whole))).encode())
    if not path.is_file():
        return str(path)
    return _of_file(path, whole=path.stat().st_size <= WHOLE_BYTES)


def _listing(folder: Path, files: list[Path], *, whole: bool) -> Iterator[tuple[str, str]]:
    for file in files:
        yield str(file.relative_to(folder)), _of_file(file, whole=whole)


def _of_file(path: Path, *, whole: bool) -> str:
    if whole:
        return xxhash.xxh3_128_hexdigest(path.read_bytes())
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
