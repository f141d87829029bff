"""``merge push``: an output to the hub."""

from __future__ import annotations

from typing import Annotated

import typer

from ..checkpoints.space import human
from .flags import go_offline
from .own_flags import Json, Quiet, Traceback
from .show import Speech, say, say_json, warn

PANEL = "Checkpoints"


def command(
    out: Annotated[str, typer.Argument(help="The output of a merge, a folder or a file.", metavar="OUT")],
    repository: Annotated[str, typer.Argument(help="Where to: org/name.", metavar="REPO")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository a private one.")] = False,
    revision: Annotated[
        str | None,
        typer.Option("--revision", help="The branch, made if there is none. (default: main)", metavar="BRANCH"),
    ] = None,
    message: Annotated[str | None, typer.Option("--message", help="Of the commit.", metavar="TEXT")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent; send nothing.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network: only --dry-run works.")] = False,
    json_: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Send a finished output to the hub, weights, tokenizer and model card in one commit."""
    if offline:
        go_offline()
    from ..pushing.push import Push, push

    speech = Speech(json_, quiet)
    found = push(Push(out, repository, private, revision, message, dry_run))
    for path in found["local_paths_in_card"]:
        warn(f"the model card names a path of this machine: {path}", speech)
    if found["left_out"]:
        say(f"note: not sent, as no merge wrote it: {', '.join(found['left_out'])}", speech)
    if found["removed"]:
        say(f"note: removed there, being weights of something else: {', '.join(found['removed'])}", speech)
    names = ", ".join(file["name"] for file in found["files"])
    size = human(sum(file["bytes"] for file in found["files"]))
    where = f"{found['repository']} ({found['revision']})"
    done = f"pushed to {where} as {found['commit']}" if found["commit"] else f"would be pushed to {where}"
    say(f"{done}: {names}; {size}", speech)
    if json_:
        say_json(found)
