"""``merge inspect``: what is in a checkpoint?"""

from __future__ import annotations

import math
from typing import Annotated

import typer

from ..checkpoints.space import human
from ..documents import InspectDocument
from ..errors import printable
from .own_flags import Json, Traceback
from .show import WIDEST_NAME, say_json

PANEL = "Checkpoints"
SHOWN_ZEROS = 0.01  # share from which on zeros are worth saying: a pruned tensor


def command(
    model: Annotated[str, typer.Argument(help="A checkpoint file or folder, or a bundle.", metavar="MODEL")],
    values: Annotated[
        bool, typer.Option("--values/--no-values", help="Read the weights for norms and extremes.")
    ] = True,
    json_: Json = False,
    traceback: Traceback = False,
) -> None:
    """Show a checkpoint's tensors, types, norms and metadata."""
    from ..bundles.document import is_bundle
    from ..checkpoints.resolve import local_path
    from ..inspection import inspect

    if is_bundle(local_path(model)):
        from ..bundles.describing import describe_bundle, render_description

        described = describe_bundle(model)
        lines = map(printable, render_description(described).splitlines())
        say_json(described) if json_ else typer.echo("\n".join(lines))
        return
    found = inspect(model, values=values)
    say_json(found) if json_ else typer.echo("\n".join(map(printable, _render(found).split("\n"))))


def _render(found: InspectDocument) -> str:
    sizes = f"{found['parameters']:,} parameters, {human(found['bytes'])}, {len(found['tensors'])} tensors"
    lines = [f"{found['model']}: {sizes}"]
    lines += [f"  family: {found['family']}"] if found["family"] else []
    lines += [f"  types: {', '.join(f'{count} {dtype}' for dtype, count in found['dtypes'].items())}"]
    lines += [
        printable(f"  {key}: {value if len(value) <= 200 else value[:197] + '…'}")
        for key, value in found["metadata"].items()
    ]
    width = min(max((len(tensor["name"]) for tensor in found["tensors"]), default=0), WIDEST_NAME)
    for tensor in found["tensors"]:
        facts = f"{tensor['dtype']:9s} {'x'.join(map(str, tensor['shape'])) or 'scalar':16s}"
        if tensor["l2_norm"] is not None:
            facts += f" norm {tensor['l2_norm']:.4g}  range [{tensor['minimum']:.3g}, {tensor['maximum']:.3g}]"
        if (tensor["zeros"] or 0) >= SHOWN_ZEROS * max(1, math.prod(tensor["shape"])):
            facts += f"  zeros {(tensor['zeros'] or 0) / math.prod(tensor['shape']):.1%}"
        if tensor["nonfinite"]:
            facts += f"  NOT FINITE: {tensor['nonfinite']}"
        lines.append(f"  {printable(tensor['name']):{width}s}  {facts}".rstrip())
    return "\n".join(lines + [f"  note: {printable(note)}" for note in found["notes"]])
