"""Updates of a base that rounding loses: counted against the definition, tensor by tensor."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from checkpoint_files import load, save
from command_line import Result, assert_refused
from in_memory import recipe_of, run_recipe
from scaled_models import nearest

from merge import engine
from merge.engine import RunSettings
from merge.schema import SCHEMAS
from merge.streaming.tallies import Tally, rounding_remarks
from merge.streaming.torch_backend import TorchBackend

Cli = Callable[..., Result]
SHAPES = {"layers.0.w": (300, 500), "layers.1.w": (70, 30)} | {f"layers.{number}.norm": (50,) for number in range(20)}
FLAGS = ("--scale", "1", "--count-lost-updates", "--json")


def states(base_type: torch.dtype, tuned_type: torch.dtype) -> list[dict[str, torch.Tensor]]:
    """Return a base, and two models tuned by steps around half a step of bfloat16; some entries are not changed."""
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    found = [{name: tensor.to(base_type) for name, tensor in base.items()}]
    for _ in range(2):
        tuned = {}
        for name, tensor in found[0].items():
            size = 1e-2 if name == "layers.1.w" else 3e-3
            update = torch.randn(tensor.shape, generator=generator) * size
            update[update.abs() < size / 4] = 0
            tuned[name] = (tensor.float() + update * tensor.float().abs()).to(tuned_type)
        found.append(tuned)
    return found


def wanted(base: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> tuple[int, int, float]:
    """Return changed and lost entries, and the error's share, of base + (a - base) / 2 + (b - base) / 2."""
    wide = torch.float32 if max(one.dtype.itemsize for one in (base, a, b)) == 2 else torch.float64
    start = base.to(wide)
    outcome = start + ((a.to(wide) - start) * 0.5 + (b.to(wide) - start) * 0.5)
    stored = nearest(outcome)
    changed = outcome != start
    lost = changed & (stored == nearest(start))
    error = ((stored.double() - outcome.double()) ** 2).sum() / ((outcome.double() - start.double()) ** 2).sum()
    return int(changed.sum()), int(lost.sum()), float(error)


@pytest.mark.parametrize(
    "types", [(torch.bfloat16, torch.float32), (torch.float32,) * 2, (torch.bfloat16,) * 2], ids=str
)
@pytest.mark.parametrize("more", [(), ("--threads", "3"), ("--workers", "2")])
def test_counted_by_the_definition(
    here: Path, cli: Cli, types: tuple[torch.dtype, torch.dtype], more: Sequence[str]
) -> None:
    models = states(*types)
    for name, state in zip(("base", "a", "b"), models, strict=True):
        save(here / f"{name}.st", state)
    command = ["task-arithmetic", "a.st", "b.st", "--base", "base.st", "--weights", "0.5,0.5", "-o", "o.st"]
    result = cli(*command, "--dtype", "bfloat16", *FLAGS, *more)
    assert result.code == 0, result
    jsonschema.validate(json.loads(result.out), SCHEMAS["merge"]())
    rounding = json.loads(result.out)["rounding"]
    total = [0, 0]
    for row in rounding["tensors"]:
        changed, lost, error = wanted(*(state[row["tensor"]] for state in models))
        assert (row["changed"], row["lost"]) == (changed, lost), row
        assert row["lost_share"] == pytest.approx(lost / changed, rel=1e-5)
        assert row["error_share"] == pytest.approx(error, rel=1e-5)
        total = [total[0] + changed, total[1] + lost]
    assert [rounding["changed"], rounding["lost"]] == total
    assert len(rounding["tensors"]) == len(SHAPES)
    assert 0.01 < total[1] / total[0] < 0.9
    assert f"rounding to BF16 lost {total[1] / total[0]:.1%} of the changed entries" in (here / "o.st.md").read_text()


def test_the_bytes_are_those_of_a_merge_that_counts_nothing(here: Path, cli: Cli) -> None:
    for name, state in zip(("base", "a", "b"), states(torch.bfloat16, torch.bfloat16), strict=True):
        save(here / f"{name}.st", state)
    for method in ("task-arithmetic", "ties", "model-stock", "nearswap"):
        models = ["a.st", "b.st"][: 1 if method == "nearswap" else 2]
        command = [method, *models, "--base", "base.st", "--quiet"]
        assert cli(*command, "-o", f"{method}.st").code == 0
        assert cli(*command, "-o", f"{method}-counted.st", "--count-lost-updates").code == 0
        assert (here / f"{method}.st").read_bytes() == (here / f"{method}-counted.st").read_bytes()


def test_methods_that_are_handed_the_base_itself(here: Path) -> None:
    """They may overwrite it; what is counted is by the numbers of the file."""
    base, a, _ = states(torch.bfloat16, torch.float32)
    recipe = recipe_of("nearswap", [a], base, dtype="BF16", t=0.001)
    found, _, outcome = run_recipe(recipe, RunSettings(threads=1, count_lost_updates=True))
    for name, tally in outcome.tallies.items():
        same = int((found[name] == base[name]).sum())
        assert tally.changed - tally.lost == base[name].numel() - same
        assert tally.update > 0


@pytest.mark.parametrize("settings", [{"threads": 4}, {"threads": 2, "chunk_elements": 65_536}])
def test_the_count_does_not_depend_on_how_it_is_run(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    base, a, b = states(torch.bfloat16, torch.float32)
    recipe = recipe_of("ties", [a, b], base, dtype="BF16", density=0.5)
    first = run_recipe(recipe, RunSettings(threads=1, count_lost_updates=True))[2]
    other = run_recipe(recipe, RunSettings(**settings, count_lost_updates=True))[2]
    backend = lambda plan, settings, threads: (lambda: TorchBackend("cpu"), 2**20)  # noqa: E731
    monkeypatch.setattr(engine, "choose_backend", backend)
    torchs = run_recipe(recipe, RunSettings(threads=1, count_lost_updates=True))[2]
    assert first.rounded == other.rounded == torchs.rounded
    assert len(first.rounded) == 1
    for name, tally in first.tallies.items():
        assert other.tallies[name][:5] == torchs.tallies[name][:5] == tally[:5]


def test_stochastic_rounding_keeps_the_mean_of_what_is_lost_otherwise(here: Path, cli: Cli) -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.rand(400_000, generator=generator) + 1  # steps of bfloat16 are 2^-7 there
    save(here / "base.st", {"w": base.bfloat16()})
    save(here / "a.st", {"w": base.bfloat16().float() + 1e-3})
    command = ["task-arithmetic", "a.st", "--base", "base.st", "--dtype", "bfloat16", *FLAGS]
    near = json.loads(cli(*command, "-o", "n.st").out)
    drawn = json.loads(cli(*command, "-o", "s.st", "--rounding", "stochastic").out)
    assert near["rounding"]["lost"] == near["rounding"]["changed"] == 400_000
    assert "lost 100.0% of the changed entries (worst: 'w', 100.0%)" in " ".join(near["notes"])
    assert "--rounding stochastic keeps their mean" in " ".join(near["notes"])
    assert drawn["rounding"]["lost"] == pytest.approx(400_000 * (1 - 1e-3 * 2**7), rel=0.01)
    assert "keeps their mean" not in " ".join(drawn["notes"])
    start = load(here / "base.st")["w"].double()
    moved = (load(here / "s.st")["w"].double() - start).mean().item()
    assert moved == pytest.approx(1e-3, rel=0.05)
    assert torch.equal(load(here / "n.st")["w"].double(), start)


def test_where_there_is_nothing_to_count_it_is_refused(here: Path, cli: Cli) -> None:
    for name, state in zip(("base", "a", "b"), states(torch.float32, torch.float32), strict=True):
        save(here / f"{name}.st", state)
    soup = ["soup", "a.st", "b.st", "-o", "o.st", "--dtype", "bfloat16", "--count-lost-updates"]
    assert_refused(cli(*soup), 2, "--count-lost-updates", "--base")
    ties = ["ties", "a.st", "b.st", "--base", "base.st", "-o", "o.st", "--count-lost-updates"]
    assert_refused(cli(*ties), 2, "at most 16 bits", "--dtype")
    dry = cli(*ties, "--dry-run")
    assert (dry.code, "at most 16 bits" in dry.err) == (2, True)
    assert cli(*ties, "--dtype", "float16").code == 0


def test_what_is_not_finite_is_not_counted(here: Path, cli: Cli) -> None:
    save(here / "base.st", {"w": torch.tensor([1.0, 2.0, float("inf"), float("nan"), 5.0])})
    save(here / "a.st", {"w": torch.tensor([1.0, float("inf"), 3.0, 4.0, 5.0001])})
    command = ["task-arithmetic", "a.st", "--base", "base.st", "--dtype", "float16", "-o", "o.st", "--allow-nonfinite"]
    result = cli(*command, *FLAGS)
    assert result.code == 0
    (row,) = json.loads(result.out)["rounding"]["tensors"]
    assert (row["changed"], row["lost"], row["lost_share"]) == (1, 1, 1.0)


def test_the_worst_is_named_by_its_share() -> None:
    from merge.planning.rows import Row

    rows = [Row(name, "BF16", (9,), "merge", None, ()) for name in ("layers.2.w", "layers.3.w", "unchanged")]
    halved, worst = Tally(changed=100, lost=50, update=4.0, error=1.0), Tally(changed=4, lost=3, update=4.0)
    tallies = {"layers.2.w": halved, "layers.3.w": worst}
    (remark,) = rounding_remarks(tallies, rows, stochastic=False)
    assert remark == (
        "rounding to BF16 lost 51.0% of the changed entries (worst: 'layers.3.w', 75.0%); its error is 0.12 of the "
        "updates' squared norm; --rounding stochastic keeps their mean"
    )
