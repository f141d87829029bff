"""Measures how fast `merge` streams, and in how little memory, against what `cat` and `cp` take.

Run it from a checkout: ``python benchmarks/streaming.py``. It makes its inputs in a temporary folder, runs everything
in turn, prints one table with ratios and targets, and removes what it made. It measures and does not judge: the exit
code is 0 whatever the figures.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from cases import CASES
from inputs import Inputs, memory_gigabytes, warm
from measure import measure
from peers import install, mergekit
from rows import Row
from table import machine, markdown_table, row_cells, section

Case = Callable[[Inputs], list[Row]]
_DEFAULT = [name for name in CASES if name != "methods"]


def main(words: Sequence[str]) -> None:
    """Run the cases that the command line asks for."""
    options = _options(words)
    about = machine()
    print(about, end="\n\n", flush=True)
    lines: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="merge-benchmark-", dir=options.folder) as folder:
        inputs = Inputs(Path(folder) / "inputs", options.gigabytes)
        for case in _cases(options, Path(folder)):
            lines += _measure_case(case, inputs, options.runs)
    table = markdown_table(lines)
    print(table)
    if options.markdown:
        text = section(about, _command(options), table, options.gigabytes)
        options.markdown.write_text(text, encoding="utf-8")


def _cases(options: argparse.Namespace, folder: Path) -> Iterator[Case]:
    if options.mergekit is not None:
        program = install(options.mergekit or folder / "mergekit")
        yield partial(mergekit, program=program)
    yield from (case for name, case in CASES.items() if name in options.case)


def _measure_case(case: Case, inputs: Inputs, runs: int) -> list[list[str]]:
    rows = case(inputs)
    files = list(inputs.folder.glob("*.st"))
    if sum(file.stat().st_size for file in files) > 0.6e9 * memory_gigabytes():
        _say("the inputs may not all stay in the page cache")
    warm(files)
    _say(f"{len(rows)} rows, {runs} runs each: {rows[-1].label} and others")
    used = measure(rows, runs)
    inputs.forget()
    return [row_cells(row, used, inputs.gigabytes) for row in rows]


def _command(options: argparse.Namespace) -> str:
    """Return the command that measures this again, without the folders of this machine."""
    words = ["python", "benchmarks/streaming.py", "--gigabytes", f"{options.gigabytes:g}", "--runs", str(options.runs)]
    if options.case != _DEFAULT:
        words += ["--case", *options.case]
    if options.mergekit is not None:
        words.append("--mergekit")
    return shlex.join(words)


def _say(text: str) -> None:
    print(f"streaming.py: {text}", file=sys.stderr, flush=True)


def _absolute(text: str) -> Path:
    return Path(text).absolute()  # what is measured runs in another folder


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gigabytes", type=float, help="size of one bfloat16 input, in 10^9 bytes (default: 1)")
    parser.add_argument("--runs", type=int, help="runs of each row (default: 5)")
    parser.add_argument(
        "--case", nargs="+", choices=CASES, default=_DEFAULT, help="what to measure (default: all but methods)"
    )
    parser.add_argument("--folder", type=_absolute, help="where the temporary folder is made")
    parser.add_argument("--markdown", type=Path, help="also write a section for docs/performance.md to this file")
    parser.add_argument("--quick", action="store_true", help="0.05 GB and one run, to see that everything works")
    parser.add_argument(
        "--mergekit",
        type=_absolute,
        nargs="?",
        const=False,
        metavar="VENV",
        help="measure mergekit too, installed into this virtual environment (default: a temporary one)",
    )
    options = parser.parse_args(words)
    options.gigabytes = options.gigabytes or (0.05 if options.quick else 1.0)
    options.runs = options.runs or (1 if options.quick else 5)
    if options.gigabytes < 0.01 or options.runs < 1:
        parser.error("--gigabytes must be at least 0.01 and --runs at least 1")
    return options


if __name__ == "__main__":
    main(sys.argv[1:])
