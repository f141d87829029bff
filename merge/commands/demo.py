"""``merge demo``: the whole line on data that comes with the tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .own_flags import Traceback

PANEL = "Start here"


def command(
    directory: Annotated[Path, typer.Argument(help="A new folder.", metavar="[DIR]")] = Path("merge-demo"),
    seed: Annotated[int, typer.Option("--seed", help="Seed of weights and data order.", min=0)] = 0,
    independent: Annotated[
        bool, typer.Option("--independent", help="Instead train two models from different seeds, to be aligned.")
    ] = False,
    traceback: Traceback = False,
) -> None:
    """Train three small models on handwritten digits, soup them, evaluate, write a report."""
    from ..demo import run_demo, run_independent

    (run_independent if independent else run_demo)(directory, seed=seed)
