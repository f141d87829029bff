"""What matching costs: two models of random weights in files, matched by a process of their own that reports itself.

``python alignment_cost.py FOLDER CASE`` is that process. Memory is what it held at its peak beyond what it held after
importing torch and the matching.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from process_status import held

CASES = ("one group of width 4096", "transformer, 12 layers of width 768")
WIDE, NARROW = 4096, 1024
WIDTH, LAYERS, HEADS, HEAD, INNER, INPUTS = 768, 12, 12, 64, 3072, 256


class Cost(NamedTuple):
    """What a process took: seconds, and bytes beyond what libraries take."""

    wall: float
    cpu: float
    peak: int
    sweeps: int
    gained: float


def shapes_of(case: str, layers: int = LAYERS) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a case."""
    if case == CASES[0]:
        return {"up.weight": (WIDE, NARROW), "up.bias": (WIDE,), "down.weight": (NARROW, WIDE)}
    found: dict[str, tuple[int, ...]] = {"embed.weight": (WIDTH, INPUTS), "head.weight": (INPUTS, WIDTH)}
    for layer in range(layers):
        found |= {f"{layer}.{name}.weight": (WIDTH, WIDTH) for name in ("q", "k", "v", "o")}
        found |= {f"{layer}.up.weight": (INNER, WIDTH), f"{layer}.down.weight": (WIDTH, INNER)}
        found |= {f"{layer}.norm{number}.weight": (WIDTH,) for number in (1, 2)}
    return found


def groups_of(case: str, layers: int = LAYERS) -> Any:
    """Return which axes carry the same units."""
    from merge.alignment.groups import Group, Groups, Member

    if case == CASES[0]:
        members = (
            Member("up.weight", 0, (WIDE,)),
            Member("up.bias", 0, (WIDE,)),
            Member("down.weight", 1, (WIDE,)),
        )
        return Groups({"mlp": Group("mlp", WIDE, members, "mlp")})
    groups = [_residual(layers)]
    for layer in range(layers):
        heads = f"heads.{layer}"
        groups += [_heads(layer), *(_within(layer, heads, kind) for kind in ("qk", "vo")), _mlp(layer)]
    return Groups({group.name: group for group in groups})


def _residual(layers: int) -> Any:
    from merge.alignment.groups import Group, Member

    axes = [("embed.weight", 0), ("head.weight", 1)]
    for layer in range(layers):
        axes += [(f"{layer}.{name}.weight", 1) for name in ("q", "k", "v", "up")]
        axes += [(f"{layer}.{name}.weight", 0) for name in ("o", "down", "norm1", "norm2")]
    return Group("residual", WIDTH, tuple(Member(name, axis, (WIDTH,)) for name, axis in axes), "residual")


def _projections(layer: int, names: str, factor: int) -> Any:
    from merge.alignment.groups import Member

    return tuple(Member(f"{layer}.{name}.weight", int(name == "o"), (HEADS, HEAD), factor) for name in names)


def _heads(layer: int) -> Any:
    from merge.alignment.groups import Group

    return Group(f"heads.{layer}", HEADS, _projections(layer, "qkvo", 0), "heads")


def _within(layer: int, heads: str, names: str) -> Any:
    from merge.alignment.groups import Group

    return Group(f"{names}.{layer}", HEAD, _projections(layer, names, 1), "within-heads", heads)


def _mlp(layer: int) -> Any:
    from merge.alignment.groups import Group, Member

    members = (Member(f"{layer}.up.weight", 0, (INNER,)), Member(f"{layer}.down.weight", 1, (INNER,)))
    return Group(f"mlp.{layer}", INNER, members, "mlp")


def cost(folder: Path, case: str) -> Cost:
    """Write the two models of a case into a folder, and match them in a process of its own."""
    write_models(folder, shapes_of(case))
    command = [sys.executable, __file__, str(folder), case]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Cost(**json.loads(done.stdout))


def write_models(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Write ``a.st`` and ``b.st`` with independent random weights."""
    import torch
    from safetensors.torch import save_file

    for seed, name in enumerate(("a.st", "b.st")):
        generator = torch.Generator().manual_seed(seed)
        save_file({key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}, folder / name)


def main() -> None:
    """Match the models of a folder, and print what that took as JSON."""
    folder, case = Path(sys.argv[1]), sys.argv[2]
    import torch  # noqa: F401 - its memory is not the matching's
    from scipy.optimize import linear_sum_assignment  # noqa: F401

    from merge.alignment.declared import AlignmentOptions
    from merge.alignment.matching import CheckpointReader, match_weights
    from merge.checkpoints.resolve import open_checkpoint

    before = held("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    a, b = (CheckpointReader(open_checkpoint(str(folder / name))) for name in ("a.st", "b.st"))
    found = match_weights(a, b, groups_of(case), AlignmentOptions(), 0).report
    spent = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": held("VmHWM") - before}
    gained = found.objective_after - found.objective_before
    print(json.dumps(spent | {"sweeps": found.sweeps, "gained": gained}))


if __name__ == "__main__":
    main()
