"""What ``--data`` names ▸ a description of the data, of the form that benchmarks have; nothing of it is read yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...checkpoints.local_path import local_path
from ...errors import UsageError, suggest
from ...evaluation.hub import is_hub_id
from ...evaluation.language.line_files import LINES
from ...evaluation.specification import DATA_FILES, TEXT_FILES, benchmark_file, read_benchmark, read_one, suite_names
from ...section import Section, read_section

if TYPE_CHECKING:
    from ...evaluation.task import Benchmark

BENCHMARK_FILES = (".yaml", ".yml")
PREFIXES = ("hub", "medmnist", "medimeta", "builtin")
FORMS = (
    "a YAML file, a bundled benchmark, x.npz, a folder of images, x.txt, a .jsonl, .csv or .parquet file with a column "
    "'text', builtin:digits or hub:org/name"
)


@dataclass(frozen=True)
class Description:
    """One set of data.

    Attributes:
        name: What a statistics file calls it, and what random draws depend on.
        where: What messages call it.
        benchmark: The benchmark that has the data, or that the user's shorthand was turned into.
        target: The column of texts that models with a decoder of their own have to give.
        is_shorthand: Whether only the data was named, so that the model says how its images are prepared.
    """

    name: str
    where: str
    benchmark: Benchmark
    target: str
    is_shorthand: bool


TARGET = "target"


def describe(spec: str) -> Description:
    """Read what ``--data`` names: a benchmark's file or name, or the data themselves.

    Raises:
        UsageError: There is no such data, or its description is wrong.
    """
    if spec != "builtin:digits" and _is_benchmark(spec):
        return _of_benchmark(spec)
    text = spec.replace("hf:", "hub:", 1) if spec.startswith("hf:") else spec
    if not _exists(text):
        hint = suggest(spec, suite_names()) or f"--data takes {FORMS}"
        what = "the file is of no form that is known" if local_path(text).is_file() else "no such data"
        raise UsageError(what, where=spec, hint=hint)
    return _of_data(text, spec)


def _is_benchmark(spec: str) -> bool:
    path, name = local_path(spec), spec.removeprefix("builtin:")
    return name in suite_names() or path.suffix in BENCHMARK_FILES or (path.is_file() and not path.suffix)


def _exists(text: str) -> bool:
    path = local_path(text)
    if path.is_file():
        return path.suffix in DATA_FILES
    is_pattern = path.suffix == ".parquet" and any(path.parent.glob(path.name))
    return path.is_dir() or is_pattern or text.partition(":")[0] in PREFIXES or (is_hub_id(text) and not path.suffix)


def _of_benchmark(spec: str) -> Description:
    path = benchmark_file(spec)
    section = read_section(path, spec)
    if "suite" in section.mapping:
        benchmark = read_benchmark(spec)
        return _checked(Description(benchmark.name, spec, benchmark, TARGET, is_shorthand=False))
    target = _take_target(section)
    found = read_one(section, path.parent, path.stem)
    if len(found) != 1:
        raise UsageError(f"a suite of {len(found)} benchmarks; one is needed here", where=spec)
    return _checked(Description(found[0].name, spec, found[0], target, is_shorthand=False))


def _take_target(section: Section) -> str:
    """Remove the key that only calibration knows from ``data:``, and return it."""
    data = section.mapping.get("data")
    if not isinstance(data, dict) or TARGET not in data:
        return TARGET
    target = section.section("data").text(TARGET, TARGET)
    del data[TARGET]
    return target


def _checked(description: Description) -> Description:
    """Refuse benchmarks that have no data of their own, but bring a harness that runs the models."""
    if description.benchmark.kind == "lm-eval":
        hint = "name texts: a .txt, .jsonl, .csv or .parquet file, or a benchmark of the kind perplexity"
        what = f"'{description.name}' is a task of lm-evaluation-harness, which gives no data for calibration"
        raise UsageError(what, where=description.where, hint=hint)
    return description


def _of_data(text: str, spec: str) -> Description:
    is_prefixed = text.partition(":")[0] in PREFIXES or not local_path(text).exists()
    name = text.removeprefix("hub:") if is_prefixed else local_path(text).resolve().stem
    return Description(name, spec, _shorthand(text, spec, name), TARGET, is_shorthand=True)


def _shorthand(text: str, spec: str, name: str) -> Benchmark:
    suffix = Path(text).suffix
    if suffix in TEXT_FILES:
        return _benchmark("perplexity", {"path": text}, spec, name)
    if suffix in LINES:
        return _benchmark("classification", {"path": text, "text": "text"}, spec, name)
    data = {"path": text} | _training_split(text)
    return _benchmark("classification", data, spec, name)


def texts_of_table(description: Description) -> Benchmark:
    """Return a table that was taken for one of images as one of texts."""
    text = description.where.replace("hf:", "hub:", 1)
    data = {"path": text, "text": "text"} | _training_split(text)
    return _benchmark("classification", data, description.where, description.name)


def _training_split(text: str) -> dict[str, str]:
    """Return the split of data that has several: what is calibrated on must not be what is reported on."""
    from ...evaluation.data_source import read_data_source

    source = read_data_source(Section(text, {"data": {"path": text}}), Path())
    has_training = source.form == "folder" and source.path is not None and (source.path / "train").is_dir()
    return {"split": "train"} if source.split == "test" or has_training else {}


def _benchmark(kind: str, data: dict[str, Any], spec: str, name: str) -> Benchmark:
    (found,) = read_one(Section(spec, {"kind": kind, "data": data, "name": name}), Path(), name)
    return found
