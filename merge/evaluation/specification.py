"""Benchmark files: which kind each is, and the suites that list several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ..checkpoints.local_path import local_path, near_name
from ..errors import UsageError, suggest
from ..section import Section, read_section
from .language.line_files import LINES

if TYPE_CHECKING:
    from .task import Benchmark

KINDS = ("classification", "zero-shot", "lm-eval", "perplexity")
SUITES = Path(__file__).parent / "suites"
TEXT_FILES = (".txt", ".text", ".md")
DATA_FILES = (*TEXT_FILES, *LINES, ".npz", ".parquet")
SUITE_KEYS = ("suite", "about", "defaults", "benchmarks")


def suite_names() -> list[str]:
    """Return the names of the benchmarks and suites that come with the package."""
    return sorted(path.stem for path in SUITES.glob("*.yaml"))


def read_benchmarks(specs: Sequence[str]) -> list[Benchmark]:
    """Read benchmarks from YAML files or by the names of bundled ones; a suite gives all of its benchmarks.

    Raises:
        UsageError: A file, a key or a value is wrong, which is said with ``file:line:column``; or a name is used twice.
    """
    from .locate import refuse_twice

    benchmarks = [benchmark for spec in specs for benchmark in _read(spec)]
    refuse_twice([benchmark.name for benchmark in benchmarks], "benchmark")
    return benchmarks


def read_benchmark(spec: str) -> Benchmark:
    """Read one benchmark.

    Raises:
        UsageError: As above, or it is a suite of several.
    """
    benchmarks = list(_read(spec))
    if len(benchmarks) != 1:
        raise UsageError(f"a suite of {len(benchmarks)} benchmarks; one is needed here", where=spec)
    return benchmarks[0]


def _read(spec: str) -> Iterator[Benchmark]:
    path = benchmark_file(spec)
    top = read_section(path, spec)
    if "suite" not in top.mapping:
        yield from read_one(top, path.parent, path.stem)
        return
    top.check_keys(SUITE_KEYS, required=("suite", "benchmarks"))
    defaults = top.section("defaults").mapping if "defaults" in top.mapping else {}
    if not top.mapping["benchmarks"]:
        raise UsageError("a suite without benchmarks", where=top.where("benchmarks"))
    for item, where in top.items("benchmarks"):
        if not isinstance(item, dict):
            raise UsageError(f"a benchmark must be a mapping, not {item!r}", where=where)
        for key, value in defaults.items():
            item.setdefault(key, value)
        yield from read_one(Section(spec, item), path.parent, path.stem)


def benchmark_file(spec: str) -> Path:
    """Return the path of a benchmark's file, or of a bundled one. Raises UsageError when it is none."""
    bundled = spec.removeprefix("builtin:")
    if bundled in suite_names():
        return SUITES / f"{bundled}.yaml"
    if Path(spec).is_dir() or (Path(spec).is_file() and Path(spec).suffix in DATA_FILES):
        hint = f"write a YAML file with 'kind: classification', or another kind, and 'data: {{path: {spec}}}'"
        raise UsageError("this is data, and a benchmark is a YAML file that names its data", where=spec, hint=hint)
    if not local_path(spec).is_file():
        known = f"give a YAML file, or one of the bundled ones: {', '.join(suite_names())}"
        hint = suggest(spec, suite_names()) or near_name(local_path(spec)) or known
        raise UsageError("no such benchmark file", where=spec, hint=hint)
    return local_path(spec)


def read_one(section: Section, folder: Path, name: str) -> Sequence[Benchmark]:
    """Return one benchmark, the same under several corruptions, or one for every task of a list.

    Raises:
        UsageError: A key or a value is wrong.
    """
    from .corrupting import lay_over, take_corruptions

    plain, corruptions = take_corruptions(section)
    benchmarks = _read_kind(plain, folder, name)
    if not corruptions:
        return benchmarks
    return [one for benchmark in benchmarks for one in lay_over(benchmark, corruptions, section.where("kind"))]


def _read_kind(section: Section, folder: Path, name: str) -> Sequence[Benchmark]:
    if "kind" not in section.mapping:
        _refuse_without_kind(section)
    kind = section.text("kind", "")
    if kind not in KINDS:
        hint = suggest(kind, KINDS) or f"kinds: {', '.join(KINDS)}"
        raise UsageError(f"unknown kind '{kind}'", where=section.where("kind"), hint=hint)
    module = import_module(f"{__package__}.kinds.{kind.replace('-', '_')}")
    found: Benchmark | list[Benchmark] = module.read(section, folder, section.text("name", name))
    return found if isinstance(found, list) else [found]


def _refuse_without_kind(section: Section) -> NoReturn:
    for key in section.mapping:
        if suggest(key, ["kind"]):
            raise UsageError(f"unknown key '{key}'", where=section.where(key), hint="did you mean 'kind'?")
    raise UsageError("the key 'kind' is missing", where=section.start, hint=f"kinds: {', '.join(KINDS)}")
