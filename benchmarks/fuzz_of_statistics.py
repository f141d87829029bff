"""Targets: files of statistics, of orders of units, and of what is known of two models."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from fuzz_forms import HEADER, metadata
from fuzz_target import Target, write

MLP = {"first.weight": (4, 3), "first.bias": (4,), "second.weight": (2, 4), "second.bias": (2,)}
_TWIN = {"third.weight": (2, 4)}  # reads the same as the second


def models(folder: Path) -> None:
    """Write two perceptrons with four hidden units: a.st and b.st."""
    import torch

    for seed, name in enumerate("ab"):
        generator = torch.Generator().manual_seed(seed)
        write(folder / f"{name}.st", {key: torch.randn(shape, generator=generator) for key, shape in MLP.items()})


def hidden() -> Any:
    """Return the groups of these models: one of hidden units."""
    from merge.alignment.groups import Group, Groups, Member

    members = (Member("first.weight", 0, (4,)), Member("first.bias", 0, (4,)), Member("second.weight", 1, (4,)))
    return Groups({"hidden": Group("hidden", 4, members)}, origin="made")


def _facts(kind: str, **more: Any) -> dict[str, str]:
    from merge.calibration.facts import Facts

    return Facts(kind, **more).metadata()


def _gram(folder: Path) -> None:
    import torch

    for seed, name in enumerate("ab"):
        write(folder / f"{name}.st", {key: torch.full(shape, 1.0 + seed) for key, shape in (MLP | _TWIN).items()})
    said = _facts("gram", aliases={"third.weight": "second.weight"}, layout={"first.weight": "out_in"})
    said["rows"] = json.dumps({"first.weight": 7, "second.weight": 7})
    said["about"] = json.dumps({"left_out": {"first.bias": "no row"}, "seed": 1})
    for name in "ab":
        write(folder / f"{name}-gram.st", {"first.weight": torch.eye(3), "second.weight": torch.eye(4)}, said)


def _fisher(folder: Path) -> None:
    import torch

    models(folder)
    for name in "ab":
        write(folder / f"{name}-fisher.st", {key: torch.ones(shape) for key, shape in MLP.items()}, _facts("fisher"))


def _orders(folder: Path) -> None:
    import numpy as np

    from merge.alignment.permutations_file import Permutations, write_permutations

    models(folder)
    about = {"seeds": {"seed": 3}, "sweeps": 4, "groups": {"hidden": {"fixed": 0.5, "cosine": None}}}
    write_permutations(folder / "orders.st", Permutations(hidden(), {"hidden": np.array([1, 0, 3, 2])}, about=about))


def _joint(folder: Path) -> None:
    import torch

    from merge.alignment.groups_document import groups_document

    models(folder)
    tensors = {"order.hidden": torch.tensor([1, 0, 3, 2]), "similarity.hidden": torch.tensor([0.9, 0.1, 0.5, 0.3])}
    tensors |= {"gram.first.weight": torch.eye(6), "gram.second.weight": torch.eye(8)}
    about = {"groups": groups_document(hidden()), "orders": ["hidden"], "similarities": ["hidden"]}
    about |= {
        "widens": ["hidden"],
        "reads": {"first.weight": 1, "second.weight": 1},
        "data": {"name": "digits", "number": 4},
        "always_merged": {},
    }
    about |= {"outputs": {"second.weight": 0, "second.bias": 0}, "models": ["a", "b"], "left_out": {}}
    said = _facts("joint", rows={"first.weight": 9, "second.weight": 9}, about=about)
    write(folder / "joint.st", {name: tensor.contiguous() for name, tensor in tensors.items()}, said)


def _plan(recipe: str, folder: Path, *, merged: bool = False) -> None:
    """Plan a recipe, and run it where its statistics are read only then; nothing is written."""
    from merge.checkpoints.writer import NullSink
    from merge.engine import RunSettings, run
    from merge.grammar import parse_recipe
    from merge.plan import make_plan

    plan = make_plan(parse_recipe(f"{recipe}\noutput: {{path: out.st}}\n", "recipe.yaml", folder))
    try:
        plan.refuse_pending()
        if merged:
            run(plan, NullSink(), RunSettings("cpu", 1))
    finally:
        plan.close()


def _read_orders(folder: Path) -> None:
    from merge.alignment.permutations_file import read_permutations

    read_permutations(Path("orders.st"))
    _plan(
        "merge: soup\nmodels: [a.st, {align: b.st, to: a.st, options: {permutations: orders.st}}]", folder, merged=True
    )


_GRAM = "merge: regmean\nmodels: [{model: a.st, gram: a-gram.st}, {model: b.st, gram: b-gram.st}]"
_FISHER = "merge: fisher\nmodels: [{model: a.st, fisher: a-fisher.st}, {model: b.st, fisher: b-fisher.st}]"
_JOINT = "merge: pleas\nmodels: [{model: a.st, joint: joint.st}, {model: b.st, joint: joint.st}]"
_read_gram, _read_fisher = partial(_plan, _GRAM, merged=True), partial(_plan, _FISHER, merged=True)
_read_joint = partial(_plan, _JOINT, merged=True)
_SOUP = ("regmean", "a.st", "b.st", "--gram", "a-gram.st", "--gram", "b-gram.st", "--dry-run", "-o", "out.st")
STATISTICS = (
    Target("fisher-header", "a-fisher.st", HEADER, _fisher, _read_fisher),
    Target("gram-header", "a-gram.st", HEADER, _gram, _read_gram, _SOUP),
    Target("gram-aliases", "a-gram.st", metadata("aliases"), _gram, _read_gram, _SOUP),
    Target("gram-layout", "a-gram.st", metadata("layout"), _gram, _read_gram, _SOUP),
    Target("gram-rows", "a-gram.st", metadata("rows"), _gram, _read_gram, _SOUP),
    Target("gram-about", "a-gram.st", metadata("about"), _gram, _read_gram, _SOUP),
    Target("orders-header", "orders.st", HEADER, _orders, _read_orders),
    Target("orders-groups", "orders.st", metadata("groups"), _orders, _read_orders),
    Target("orders-about", "orders.st", metadata("about"), _orders, _read_orders),
    Target("joint-header", "joint.st", HEADER, _joint, _read_joint),
    Target("joint-about", "joint.st", metadata("about"), _joint, _read_joint),
)
