"""``merge verify``: does the merge repeat?"""

from __future__ import annotations

from typing import Annotated

import typer

from ..documents import VerifyDocument
from .own_flags import Device, Json, Traceback
from .show import Speech, say, say_json, warn

PANEL = "Checkpoints"


def command(
    out: Annotated[str, typer.Argument(help="The output of a merge, or a bundle.", metavar="OUT")],
    device: Device = "auto",
    threads: Annotated[int | None, typer.Option("--threads", help="Threads.", min=1)] = None,
    json_: Json = False,
    traceback: Traceback = False,
) -> None:
    """Repeat a merge from its inputs and compare every tensor."""
    from ..bundles.document import is_bundle
    from ..checkpoints.resolve import local_path
    from ..engine import RunSettings
    from ..verify import verify

    speech = Speech(json_)
    if is_bundle(local_path(out)):
        _verify_bundle(out, speech)
        return
    found = verify(out, RunSettings(device, threads))
    say(_render(found), speech)
    for location in found["changed_inputs"] if found["repeats"] else ():
        warn(f"input changed since, though the output repeats: {location}", speech)
    if json_:
        say_json(found)
    if not found["repeats"]:
        raise typer.Exit(1)


def _verify_bundle(out: str, speech: Speech) -> None:
    from ..bundles.describing import render_verification, verify_bundle

    found = verify_bundle(out)
    say(render_verification(found), speech)
    if speech.json_:
        say_json(found)
    if not found["repeats"]:
        raise typer.Exit(1)


def _render(found: VerifyDocument) -> str:
    if found["repeats"]:
        return f"{found['out']} repeats: {found['tensors']} tensors, content id {found['output_id_found']}\n" + (
            f"This proves {found['proves']}."
        )
    lines = [f"{found['out']} does not repeat"]
    lines += [f"  input changed since: {location}" for location in found["changed_inputs"]]
    lines += [f"  tensor differs: {name}" for name in found["differing_tensors"]]
    if found["output_id_found"] != found["output_id_recorded"]:
        lines.append("  the file's tensors do not match the content id in its metadata")
    return "\n".join(lines)
