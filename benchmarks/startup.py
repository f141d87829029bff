"""What `merge` does before it moves a byte: commands that merge nothing, and plans from headers alone."""

from __future__ import annotations

import sys

from checkpoints import many_layout, write_sparse_folder
from inputs import Inputs
from rows import MERGE, Row, Target, merge

_PLANNED_GIGABYTES = 1500
_LIMITS = (
    Target("CPU", 0.5, " s", lambda own, _: own.cpu),
    Target("of torch, numpy, scipy and transformers, imported", 0, "", lambda own, _: len(own.imported)),
)


def startup(inputs: Inputs) -> list[Row]:
    """Commands that merge nothing, and what they import."""
    model = inputs.file("small.st", many_layout(8), "BF16", 1)
    other = inputs.file("other.st", many_layout(8), "BF16", 2)
    dry_run = merge("soup", [model, other], inputs.output("soup.st"), "--dry-run")
    commands = {
        "merge --help": (*MERGE, "--help"),
        "merge --version": (*MERGE, "--version"),
        "merge, usage error": (*MERGE, "soup", str(model), "--weigths", "1"),
        "merge --dry-run": dry_run,
    }
    reference = "python -c pass"
    rows = [Row(reference, ((sys.executable, "-c", "pass"),))]
    for label, command in commands.items():
        rows.append(Row(label, (command,), reference, _LIMITS, refusal="--weigths", watch_imports=True))
    return rows


def planning(inputs: Inputs) -> list[Row]:
    """The plan for two huge checkpoints, of which only the headers are there."""
    models = [inputs.folder / name for name in ("sparse-a", "sparse-b")]
    for folder in models:
        write_sparse_folder(folder, _PLANNED_GIGABYTES)
    command = merge("soup", models, inputs.output("merged"), "--dry-run")
    targets = (Target("wall", 5, " s", lambda own, _: own.wall),)
    # Most disks lack the room: merge says so once the plan is made.
    return [Row(f"plan, 2 x {_PLANNED_GIGABYTES:,} GB", (command,), targets=targets, refusal="are free")]
