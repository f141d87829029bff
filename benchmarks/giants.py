"""Measures how long a plan for giants takes: a mixture of experts of 1.5 TB in 200 files, in bfloat16 and in 8 bits.

Run it from a checkout: ``python benchmarks/giants.py``. The models are headers and holes, some 100 MB of
disk. It prints one table; nothing is merged.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from giant_layouts import Giant, layout, write_giant
from measure import measure
from rows import Row, Target, merge
from table import machine, markdown_table, row_cells

_SMALL = Giant(layers=6, dense=1, experts=32, shards=20)
_TARGETS = (
    Target("wall", 10, " s", lambda own, _: own.wall),
    Target("peak", 500, " MB", lambda own, _: own.peak),
)
_KINDS = {"bf16": False, "8-bit": True}


def main(words: Sequence[str]) -> None:
    """Make the models, plan merges of them, print the table."""
    options = _options(words)
    giant = _SMALL if options.quick else Giant()
    print(machine(), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="merge-giants-", dir=options.folder) as folder:
        sizes = _write(Path(folder), giant)
        rows = list(_rows(Path(folder)))
        used = measure(rows, options.runs)
        print(markdown_table([row_cells(row, used, sizes["bf16"] / 1e9) for row in rows]))
        for kind, nbytes in sizes.items():
            count = len(layout(giant, scaled=_KINDS[kind]))
            print(f"\n{kind}: {nbytes / 1e12:.2f} TB and {count:,} tensors a model, {giant.shards} files.", end="")
        print()


def _write(folder: Path, giant: Giant) -> dict[str, int]:
    """Write base and two tuned models of each kind; return the size of one."""
    sizes = {}
    for kind, scaled in _KINDS.items():
        for name in ("base", "one", "two"):
            sizes[kind] = write_giant(folder / kind / name, giant, scaled=scaled)
    return sizes


def _rows(folder: Path) -> Iterator[Row]:
    """Yield plans of two and of three models, as text and as JSON. Most disks lack the room, which each says last."""
    for kind in _KINDS:
        base, one, two = (folder / kind / name for name in ("base", "one", "two"))
        plans = {
            "soup of two": merge("soup", [one, two], folder / "out", "--dry-run"),
            "ties, base + 2": merge("ties", [one, two], folder / "out", "--base", str(base), "--dry-run"),
            "ties, base + 2, --json": merge(
                "ties", [one, two], folder / "out", "--base", str(base), "--dry-run", "--json"
            ),
        }
        for name, command in plans.items():
            yield Row(f"plan, {kind}, {name}", (command,), targets=_TARGETS, refusal="are free")
    mixed = merge("ties", [folder / "8-bit" / "one", folder / "8-bit" / "two"], folder / "out", "--dry-run")
    command = (*mixed, "--base", str(folder / "bf16" / "base"))
    yield Row("plan, 8-bit with a bf16 base, ties", (command,), targets=_TARGETS, refusal="are free")


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="runs of each row (default: 3)")
    parser.add_argument("--folder", type=lambda text: Path(text).absolute(), help="where the temporary folder is made")
    parser.add_argument("--quick", action="store_true", help="a small layout, to see that everything works")
    return parser.parse_args(words)


if __name__ == "__main__":
    main(sys.argv[1:])
