"""A benchmark: which labelled images, prepared how, and which head turns features into classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, suggest
from ..section import Section, read_section

KEYS = ("name", "kind", "data", "model", "head", "normalize", "logit_scale")
DATA_KEYS = ("path", "split", "images", "labels")
KINDS = ("classification", "zero-shot", "lm-eval", "perplexity")
SUITES = Path(__file__).parent / "suites"


@dataclass(frozen=True)
class DataSource:
    """Where the labelled images are. ``path`` is a file, or None for the digits that come with scikit-learn."""

    path: Path | None
    split: str
    images: str
    labels: str
    where: str


@dataclass(frozen=True)
class Head:
    """A fixed classification head: tensor ``name`` of a safetensors file, its bias in ``name.bias`` if there is one."""

    path: Path
    name: str
    label: str  # as the benchmark writes it
    where: str


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, all paths resolved.

    Attributes:
        mean: Subtracted from the pixels, one number or one a channel.
        std: Divides the pixels after that.
        model: Folder with the ``config.json`` for checkpoints that have none beside them.
        logit_scale: Given, the head is a cosine head with this scale; None, a plain linear one.
    """

    name: str
    data: DataSource
    model: Path | None
    head: Head | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    logit_scale: float | None
    where: str


def read_benchmark(spec: str) -> Benchmark:
    """Read a benchmark from a YAML file, or the bundled one that ``digits`` or ``builtin:digits`` names.

    Raises:
        UsageError: The file, a key or a value is wrong; says ``file:line:column``.
    """
    bundled = spec.removeprefix("builtin:") == "digits"
    path = SUITES / "digits.yaml" if bundled else Path(spec)
    if not path.is_file():
        hint = "give a YAML file, or the word digits for the bundled benchmark"
        raise UsageError("no such benchmark file", where=spec, hint=hint)
    top = read_section(path, spec)
    top.check_keys(KEYS, required=("kind", "data"))
    _check_kind(top)
    head = _head(top, path.parent)
    mean, std = _normalization(top)
    return Benchmark(
        name=top.text("name", path.stem),
        data=_data(top, path.parent),
        model=path.parent / top.text("model", "") if "model" in top.mapping else None,
        head=head,
        mean=mean,
        std=std,
        logit_scale=_logit_scale(top, head),
        where=spec,
    )


def _check_kind(top: Section) -> None:
    kind = top.text("kind", "")
    if kind == "classification":
        return
    if kind in KINDS:
        what = f"kind '{kind}' is not there yet: this version evaluates 'classification' only"
        raise UsageError(what, where=top.where("kind"))
    hint = suggest(kind, KINDS) or "this version evaluates 'classification'"
    raise UsageError(f"unknown kind '{kind}'", where=top.where("kind"), hint=hint)


def _data(top: Section, folder: Path) -> DataSource:
    data = top.section("data")
    data.check_keys(DATA_KEYS, required=("path",))
    return DataSource(
        path=_data_path(data, folder),
        split=data.text("split", "test"),
        images=data.text("images", "images"),
        labels=data.text("labels", "labels"),
        where=data.where("path"),
    )


def _data_path(data: Section, folder: Path) -> Path | None:
    text, where = data.text("path", ""), data.where("path")
    if text.startswith("builtin:"):
        if text == "builtin:digits":
            return None
        raise UsageError(f"unknown bundled data '{text}'", where=where, hint="there is builtin:digits")
    if not (folder / text).is_file():
        hint = "this version reads .npz files and builtin:digits"
        raise UsageError(f"no such data file: {text}", where=where, hint=hint)
    return folder / text


def _head(top: Section, folder: Path) -> Head | None:
    if "head" not in top.mapping:
        return None
    label, where = top.text("head", ""), top.where("head")
    file, _, name = label.rpartition("#")
    if not file or not name:
        raise UsageError(f"head '{label}' names no tensor", where=where, hint="write file.safetensors#NAME")
    if not (folder / file).is_file():
        raise UsageError(f"no such head file: {file}", where=where)
    return Head(path=folder / file, name=name, label=label, where=where)


def _normalization(top: Section) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if "normalize" not in top.mapping:
        return (0.0,), (1.0,)
    normalize = top.section("normalize")
    normalize.check_keys(("mean", "std"), required=("mean", "std"))
    mean, std = normalize.numbers("mean"), normalize.numbers("std")
    if min(std) <= 0:
        raise UsageError("'std' must be above 0", where=normalize.where("std"))
    if len(mean) != len(std) and 1 not in (len(mean), len(std)):
        what = f"'mean' has {len(mean)} channels and 'std' {len(std)}"
        raise UsageError(what, where=normalize.where("mean"))
    return mean, std


def _logit_scale(top: Section, head: Head | None) -> float | None:
    scale = top.number("logit_scale")
    if scale is not None and head is None:
        raise UsageError("'logit_scale' needs a 'head'", where=top.where("logit_scale"))
    if scale is not None and scale <= 0:
        raise UsageError("'logit_scale' must be above 0", where=top.where("logit_scale"))
    return scale
