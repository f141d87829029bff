"""Flags that commands outside merging share: each is an annotation, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Report = Annotated[Path | None, typer.Option("--report", help="Folder for the report.")]
Architecture = Annotated[
    str | None, typer.Option("--model", help="Architecture of bare checkpoints: DIR, hf:NAME, timm:NAME, …")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
BatchSize = Annotated[int, typer.Option("--batch-size", help="Items at a time.", min=1)]
Seed = Annotated[int, typer.Option("--seed", help="Seed of whatever is drawn at random.", min=0)]
Offline = Annotated[bool, typer.Option("--offline", help="Never use the network.")]
Json = Annotated[bool, typer.Option("--json", help="Print machine-readable output on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
Traceback = Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")]
