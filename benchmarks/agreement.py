"""Merges the same small models with mergekit and with `merge`, and prints how far the outcomes are apart.

Usage: ``python benchmarks/agreement.py PYTHON``, where PYTHON belongs to an environment with mergekit 0.1.5. Nothing of
mergekit is imported here: the models go to it, and its outcomes come back, in files in a temporary folder. It merges
twice: as it does by itself, in the inputs' type for most methods, and told to compute in float64.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from agreement_cases import DETERMINISTIC, RANDOM_CASES, Case
from safetensors.torch import load_file, save_file

import merge

State = dict[str, torch.Tensor]

CHILD = Path(__file__).with_name("agreement_mergekit.py")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ROUNDING = {"float32": 1e-6, "bfloat16": 2**-7}  # shares of a tensor's maximum that rounding alone may amount to
PRECISIONS = ("own", "float64")  # in which mergekit computes
SHAPES = {
    "model.embed_tokens.weight": (160, 96),
    "model.layers.0.mlp.up_proj.weight": (128, 96),
    "model.layers.0.self_attn.q_proj.weight": (96, 96),
    "model.layers.0.input_layernorm.weight": (96,),
    "stem.convolution.weight": (16, 12, 3, 3),
}
SPREAD = 0.05  # of the task vectors; the base's is 1
MODELS = 3
RANDOM_SHAPE = (400, 500)


def main() -> None:
    """Print two Markdown tables: methods without random numbers, and what can be said of those with them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="the python of an environment that has mergekit 0.1.5")
    python = parser.parse_args().python
    with tempfile.TemporaryDirectory() as folder:
        compare(python, Path(folder))


def compare(python: str, folder: Path) -> None:
    """Write the models, merge them twice, print."""
    _write_models(folder)
    cases = [*DETERMINISTIC, *RANDOM_CASES]
    requests = [
        _request(number, case, dtype, precision)
        for number, case in enumerate(cases)
        for dtype in DTYPES
        for precision in PRECISIONS
    ]
    (folder / "cases.json").write_text(json.dumps(requests))
    subprocess.run([python, str(CHILD), str(folder)], check=True, stdout=sys.stderr)
    versions = json.loads((folder / "versions.json").read_text())
    print(f"mergekit {versions['mergekit']} (torch {versions['torch']}), merge {merge.__version__}\n")
    differences = [_difference_row(folder, number, case) for number, case in enumerate(DETERMINISTIC)]
    numbers = [
        f"{dtype}{'' if precision == 'own' else ' by ' + precision}" for dtype in DTYPES for precision in PRECISIONS
    ]
    _print_table(("mergekit", "merge", "options", *numbers, "why"), differences)
    print()
    shares = [_share_row(folder, len(DETERMINISTIC) + number, case) for number, case in enumerate(RANDOM_CASES)]
    headings = [f"{what}, {dtype}" for dtype in DTYPES for what in ("kept", "mean")]
    _print_table(("mergekit", "merge", "options", *headings), shares)


def _write_models(folder: Path) -> None:
    generator = torch.Generator().manual_seed(0)

    def normal(shapes: dict[str, tuple[int, ...]]) -> State:
        return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}

    base = normal(SHAPES)
    states = {"base": base}
    for number in range(MODELS):
        states[f"model-{number}"] = {name: base[name] + SPREAD * noise for name, noise in normal(SHAPES).items()}
    states["zero"] = {"weight": torch.zeros(RANDOM_SHAPE)}
    states["random"] = normal({"weight": RANDOM_SHAPE})
    for dtype, kind in DTYPES.items():
        for name, state in states.items():
            save_file({key: tensor.to(kind) for key, tensor in state.items()}, folder / _file(name, dtype))


def _file(name: str, dtype: str) -> str:
    return f"{name}-{dtype}.safetensors"


def _names(case: Case) -> tuple[str | None, list[str]]:
    """Return the names of base and models."""
    if case in RANDOM_CASES:
        return "zero", ["random"]
    return "base" if case.base == "given" else None, [f"model-{number}" for number in range(case.models)]


def _request(number: int, case: Case, dtype: str, precision: str) -> dict[str, Any]:
    base, models = _names(case)
    return {
        "method": case.theirs,
        "models": [_file(name, dtype) for name in ([base] if base else []) + models],
        "base": None if case.base == "none" else 0,
        "parameters": {**case.shared, **case.parameters},
        "dtype": None if precision == "own" else dtype,
        "out": _file(f"out-{number}-{precision}", dtype),
    }


def _ours(folder: Path, case: Case, dtype: str) -> State:
    base, models = _names(case)
    return merge.merge_state_dicts(
        [load_file(folder / _file(name, dtype)) for name in models],
        method=case.ours,
        base=load_file(folder / _file(base, dtype)) if base else None,
        **case.shared,
        **case.options,
    )


def _theirs(folder: Path, number: int, dtype: str, precision: str) -> State:
    return load_file(folder / _file(f"out-{number}-{precision}", dtype))


def _difference_row(folder: Path, number: int, case: Case) -> list[str]:
    cells = []
    beyond = set()
    for dtype in DTYPES:
        ours = _ours(folder, case, dtype)
        for precision in PRECISIONS:
            theirs = _theirs(folder, number, dtype, precision)
            found = max(_difference(theirs[name], ours[name]) for name in ours)
            cells.append(f"{found:.1e}")
            beyond |= {precision} if found > ROUNDING[dtype] else set()
    reasons = ["mergekit rounds every step to the inputs' type"] if "own" in beyond else []
    return [*_labels(case), *cells, "; ".join([*reasons, *([case.why] if "float64" in beyond else [])])]


def _difference(theirs: torch.Tensor, ours: torch.Tensor) -> float:
    """Return the largest difference as a share of the largest magnitude."""
    one, other = theirs.to(torch.float64), ours.to(torch.float64)
    return float((one - other).abs().max() / one.abs().max())


def _share_row(folder: Path, number: int, case: Case) -> list[str]:
    """Return which share of the entries is kept, and the mean magnitude by that of the task vector."""
    cells = []
    for dtype in DTYPES:
        whole = load_file(folder / _file("random", dtype))["weight"].to(torch.float64).abs().mean()
        both = (_theirs(folder, number, dtype, "own"), _ours(folder, case, dtype))
        pair = [state["weight"].to(torch.float64) for state in both]
        cells.append(" / ".join(f"{float((tensor != 0).double().mean()):.4f}" for tensor in pair))
        cells.append(" / ".join(f"{float(tensor.abs().mean() / whole):.4f}" for tensor in pair))
    return [*_labels(case), *cells]


def _labels(case: Case) -> list[str]:
    given = {name: value for name, value in {**case.shared, **case.options}.items() if name != "weight"}
    words = [f"{name} {value[0] if isinstance(value, list) else value}" for name, value in given.items()]
    if case.base == "given" and case.ours in {"nuslerp", "multislerp"}:
        words.insert(0, "with a base")
    return [case.theirs, case.ours, ", ".join(words)]


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"| {' | '.join(headings)} |")
    print("|" + "---|" * len(headings))
    for row in rows:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
