"""``merge diff``: how far apart are two checkpoints?"""

from __future__ import annotations

import math
from typing import Annotated

import typer

from ..documents import DiffDocument, TensorDifference
from ..errors import printable
from .own_flags import Json, Traceback
from .show import WIDEST_NAME, say_json

PANEL = "Checkpoints"


def command(
    a: Annotated[str, typer.Argument(help="A checkpoint.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another.", metavar="B")],
    base: Annotated[str | None, typer.Option("--base", help="Their common base: compares task vectors too.")] = None,
    json_: Json = False,
    traceback: Traceback = False,
) -> None:
    """Compare two checkpoints: distances, cosines and, with a base, sign conflicts of their task vectors."""
    from ..comparison import diff

    found = diff(a, b, base)
    say_json(found) if json_ else typer.echo("\n".join(map(printable, _render(found).split("\n"))))


def _render(found: DiffDocument) -> str:
    if found["identical"]:
        return f"{found['a']} and {found['b']} hold the same numbers"
    whole: TensorDifference = {
        "name": "all tensors",
        "relative_l2": found["relative_l2"],
        "largest": max((tensor["largest"] or 0.0 for tensor in found["tensors"]), default=None),
        "cosine": found["cosine"],
        "task_cosine": found["task_cosine"],
        "sign_conflicts": found["sign_conflicts"],
    }
    rows = [whole, *sorted(found["tensors"], key=lambda tensor: -(tensor["relative_l2"] or math.inf))]
    width = min(max(len(row["name"]) for row in rows), WIDEST_NAME)
    models = (found["a"], found["b"], found["base"])
    lines = [f"{model}: {family}" for model, family in zip(models, found["families"], strict=False) if family]
    lines += [f"{printable(row['name']):{width}s}  {_numbers(row)}" for row in rows]
    lines += [f"only in {found['a']}: {printable(name)}" for name in found["only_in_a"]]
    lines += [f"only in {found['b']}: {printable(name)}" for name in found["only_in_b"]]
    lines += [f"another shape or kind: {printable(name)}" for name in found["unlike"]]
    return "\n".join(lines)


def _numbers(row: TensorDifference) -> str:
    if row["relative_l2"] is None or row["largest"] is None:
        return "nothing that can be compared: no common tensor, or infinities and NaN"
    text = f"distance {row['relative_l2']:.4g}  largest {row['largest']:.4g}"
    for key, label in (("cosine", "cosine"), ("task_cosine", "task cosine")):
        value = row[key]  # type: ignore[literal-required]
        text += f"  {label} {value:.6f}" if value is not None else ""
    return text + (f"  sign conflicts {row['sign_conflicts']:.1%}" if row["sign_conflicts"] is not None else "")
