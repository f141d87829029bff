"""``merge rebasin`` from the command line, and every command of the page on alignment in its order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import load, save
from command_line import ROOT, assert_refused
from documentation.play import play
from own_class import state
from rebasin_case import CLASSES, FIRST, SOURCE, two_models, write_orders

NORMED = {"first.weight": (16, 64), "first.bias": (16,), "norm.weight": (16,), "norm.bias": (16,)}
NORMED |= {"norm.running_mean": (16,), "norm.running_var": (16,), "head.weight": (10, 16), "head.bias": (10,)}


def shuffled(model: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the model with its hidden units in another order."""
    first, second = (torch.randperm(n, generator=torch.Generator().manual_seed(n)) for n in (16, 12))
    found = dict(model) | {f"fc1.{part}": model[f"fc1.{part}"][first] for part in ("weight", "bias")}
    found |= {"fc2.weight": model["fc2.weight"][second][:, first], "fc2.bias": model["fc2.bias"][second]}
    found |= {"head.weight": model["head.weight"][:, second]}
    return {name: tensor.contiguous() for name, tensor in found.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    for seed, name in enumerate("abc"):
        save(folder / f"{name}.st", state(seed))
    for seed, name in enumerate(("n1", "n2")):
        generator = torch.Generator().manual_seed(seed)
        tensors = {name: torch.rand(shape, generator=generator) for name, shape in NORMED.items()}
        save(folder / f"{name}.st", tensors | {"norm.num_batches_tracked": torch.tensor(7)})
    (folder / "model.py").write_text(SOURCE)
    for name in ("train", "test"):
        images = np.random.default_rng(len(name)).integers(0, 256, (80, 8, 8), dtype=np.uint8)
        np.savez(folder / f"{name}.npz", images=images, labels=np.arange(80) % 10)
        (folder / f"{name}.yaml").write_text(f"name: {name}\nkind: classification\ndata: {{path: {name}.npz}}\n")
    return folder


def test_the_page(made, monkeypatch, cli):
    monkeypatch.chdir(made)
    play("alignment.md", cli, "groups.yaml", "aligned.yaml")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_shuffled_copy_comes_back_bit_for_bit(here, cli, dtype):
    model = state(0, dtype)
    save(here / "a.st", model)
    save(here / "b.st", shuffled(model))
    for emitted in ("merged", "aligned"):
        result = cli("rebasin", "a.st", "b.st", "--emit", emitted, "-o", f"{emitted}.st")
        assert result.code == 0, result.err
        found = load(here / f"{emitted}.st")
        assert all(torch.equal(found[name], model[name]) for name in model)
        assert cli("verify", f"{emitted}.st").code == 0


def test_models_of_one_start_get_the_advice(here, cli):
    model = state(0)
    save(here / "a.st", model)
    save(here / "b.st", {name: tensor + 0.01 * torch.randn(tensor.shape) for name, tensor in model.items()})
    result = cli("rebasin", "a.st", "b.st", "-o", "out.st")
    assert result.code == 0, result.err
    assert "soup" in result.out


def test_a_recipe_is_the_same_merge(here, cli):
    two_models(here)
    assert cli("rebasin", "a.st", "b.st", "--seed", 3, "-o", "flags.st").code == 0
    (here / "r.yaml").write_text("merge: rebasin\nmodels: [a.st, b.st]\nseed: 3\noutput: recipe.st\n")
    assert cli("run", "r.yaml").code == 0
    nested = "merge: soup\nmodels: [a.st, {model: {align: b.st, to: a.st}}]\nseed: 3\noutput: nested.st\n"
    (here / "n.yaml").write_text(nested)
    assert cli("run", "n.yaml").code == 0
    wanted = load(here / "flags.st")
    for name in ("recipe.st", "nested.st"):
        found = load(here / name)
        assert all(torch.equal(found[tensor], wanted[tensor]) for tensor in wanted)


def noisy(model: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: tensor + 0.05 * torch.randn(tensor.shape, generator=generator) for name, tensor in model.items()}


BASE = "{align: base.st, to: a.st}"


@pytest.mark.parametrize("base", [BASE, f"{{merge: soup, models: [{BASE}, {BASE}]}}"])
def test_a_base_is_aligned_too(here, cli, base):
    """Task vectors are differences from the base: one in another order of units would make them worthless."""
    first, ordered, other = state(0), noisy(state(0), 1), noisy(state(0), 2)
    save(here / "a.st", first)
    save(here / "base.st", shuffled(ordered))
    save(here / "b.st", shuffled(other))
    models = "models: [a.st, {align: b.st, to: a.st}]"
    (here / "r.yaml").write_text(f"merge: task-arithmetic\nbase: {base}\n{models}\noutput: out.st\n")
    dry = cli("run", "r.yaml", "--dry-run")
    assert "order of units of base.st" in dry.out + dry.err
    result = cli("run", "r.yaml", "--json")
    assert result.code == 0, result.err
    found = load(here / "out.st")
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, first[name] + other[name] - ordered[name], atol=1e-5, rtol=0)
    assert cli("verify", "out.st").code == 0
    if "merge" not in base:
        assert "permutations of the base" in [one["role"] for one in json.loads(result.out)["inputs"]]


def test_orders_of_an_earlier_run_are_used_again(here, cli):
    """So a merge that was killed, or failed, after its orders were found can simply be run again."""
    two_models(here)
    assert cli("rebasin", "a.st", "b.st", "-o", "out.st").code == 0
    order, wanted = here / "out.st.statistics" / "permutations-2.safetensors", (here / "out.st").read_bytes()
    found = order.read_bytes()
    for more in ((), ("--resume",)):
        (here / "out.st").unlink()
        result = cli("rebasin", "a.st", "b.st", "-o", "out.st", *more)
        assert result.code == 0, result.err
        assert "the orders are there already" in result.out + result.err
        assert (here / "out.st").read_bytes() == wanted
    assert cli("rebasin", "a.st", "b.st", "-o", "out.st", "--force").code == 0
    assert order.read_bytes() == found, "no times, and no place, in the file"


@pytest.mark.parametrize("more", [("--seed", 5), ("--restarts", 2), ("--only", "mlp"), ("other model",)])
def test_orders_of_another_run_are_in_the_way(here, cli, more):
    two_models(here)
    assert cli("rebasin", "a.st", "b.st", "-o", "out.st").code == 0
    (here / "out.st").unlink()
    if more == ("other model",):
        save(here / "b.st", state(7))
        more = ()
    assert_refused(cli("rebasin", "a.st", "b.st", "-o", "out.st", "--quiet", *more), 2, "other orders stand there")
    assert cli("rebasin", "a.st", "b.st", "-o", "out.st", "--force", *more).code == 0


def test_a_foreign_file_beside_orders_that_are_missing_is_kept(here, cli):
    two_models(here)
    save(here / "c.st", state(2))
    foreign = here / "out.st.statistics" / "permutations-3.safetensors"
    foreign.parent.mkdir()
    foreign.write_bytes(b"mine")
    assert_refused(cli("rebasin", "a.st", "b.st", "c.st", "-o", "out.st", "--quiet"), 2, "other orders stand there")
    assert foreign.read_bytes() == b"mine"


def test_models_of_one_merge_are_aligned_over_the_same_data(here, cli):
    two_models(here)
    options = "to: a.st, options: {matching: activations}"
    models = ", ".join(f"{{align: b.st, data: {data}.npz, {options}}}" for data in ("digits", "other"))
    (here / "r.yaml").write_text(f"merge: soup\nmodels: [a.st, {models}]\noutput: out.st\n")
    for name in ("digits", "other"):
        np.savez(here / name, images=np.zeros((4, 8, 8), np.uint8))
    assert_refused(cli("run", "r.yaml", "--quiet"), 2, "models of one merge are aligned in one way")


def test_a_file_of_orders_in_the_way_is_said_before_anything_is_done(here, cli):
    two_models(here)
    (here / "p.st").write_bytes(b"mine")
    result = cli("rebasin", "a.st", "b.st", "--emit", "permutations", "-o", "p.st")
    assert_refused(result, 2, "p.st: the output exists")
    assert "plain chain" not in result.err
    assert (here / "p.st").read_bytes() == b"mine"


def test_a_dry_run_of_orders_writes_nothing(here, cli):
    two_models(here)
    result = cli("rebasin", "a.st", "b.st", "--emit", "permutations", "-o", "p.st", "--dry-run")
    assert result.code == 0, result.err
    assert "to be computed: order of units of b.st into p.st" in result.out + result.err
    assert not (here / "p.st").exists()


def test_the_shipped_recipe_and_the_printed_one_run(here, cli):
    two_models(here)
    for seed in range(2):
        save(here / f"tuned-{seed + 1}" / "model.safetensors", state(seed))
    (here / "rebasin.yaml").write_text((ROOT / "recipes" / "rebasin.yaml").read_text())
    (here / "printed.yaml").write_text(cli("new", "rebasin").out)
    for recipe in ("rebasin.yaml", "printed.yaml"):
        result = cli("run", recipe)
        assert result.code == 0, result.err


def test_what_is_written_names_all_that_went_in(here, cli):
    two_models(here)
    result = cli("rebasin", "a.st", "b.st", "-o", "out.st", "--json")
    roles = [one["role"] for one in json.loads(result.out)["inputs"]]
    assert roles == ["model 1", "model 2 before it is aligned", "permutations of model 2", "model 2"]


def test_one_model_can_be_explained(here, cli):
    save(here / "a.st", state(0))
    result = cli("rebasin", "a.st", "--explain")
    assert result.code == 0, result.err
    assert "2 groups" in result.out


def test_a_dry_run_finds_nothing(here, cli):
    two_models(here)
    result = cli("rebasin", "a.st", "b.st", "-o", "out.st", "--dry-run")
    assert result.code == 0, result.err
    assert sorted(path.name for path in here.iterdir()) == ["a.st", "b.st"]


@pytest.mark.parametrize("emitted", ["merged", "aligned"])
def test_orders_from_a_file_are_proven_where_the_model_runs(here, cli, emitted):
    two_models(here)
    (here / "model.py").write_text(SOURCE)
    write_orders(here / "right.st", {"first": FIRST})
    write_orders(here / "wrong.st", {"first": FIRST, "classes": CLASSES})
    apply = ("rebasin", "a.st", "b.st", "--emit", emitted, "-o", "out.st", "--permutations")
    model = ("--model", "model.py:Network")
    result = cli(*apply, "wrong.st", *model)
    assert_refused(result, 1, "wrong.st: group 'classes' changes what the model computes")
    assert not (here / "out.st").exists()
    proven = cli(*apply, "right.st", *model)
    assert proven.code == 0, proven.err
    assert "b.st in the order of right.st computes the same" in proven.out
    unproven = cli(*apply, "wrong.st", *model, "--no-verify", "--force")
    assert unproven.code == 0, unproven.err
    assert "were not proven on a running model" in unproven.out
    bare = cli(*apply, "wrong.st", "--force")
    assert bare.code == 0, bare.err
    assert "not proven on a running model: give --model for that" in bare.out


def test_folders_of_timm_need_nothing_but_themselves(here, cli):
    import timm
    from timm.models import save_for_hf

    options = {"depth": 1, "img_size": 32, "embed_dim": 24, "num_heads": 2, "num_classes": 4}
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        save_for_hf(timm.create_model("test_vit", **options), name, model_args=options, safe_serialization=True)
    result = cli("rebasin", "a", "b", "-o", "out")
    assert result.code == 0, result.err
    assert "groups proven" in result.out


@pytest.mark.parametrize("many", ["reference", "mean"])
def test_several_aligned_models_get_an_output_each(here, cli, many):
    model = state(0)
    save(here / "a.st", model)
    for seed, name in enumerate(("b.st", "c.st"), start=1):
        save(here / name, shuffled(noisy(model, seed)))
    result = cli("rebasin", "a.st", "b.st", "c.st", "--many", many, "--emit", "aligned", "-o", "aligned.st")
    assert result.code == 0, result.err
    assert not (here / "aligned.st").exists()
    for seed in (1, 2):
        found, wanted = load(here / f"aligned-{seed + 1}.st"), noisy(model, seed)
        assert all(torch.equal(found[tensor], wanted[tensor]) for tensor in wanted)
        assert cli("verify", f"aligned-{seed + 1}.st").code == 0
    again = cli("rebasin", "a.st", "b.st", "c.st", "--emit", "aligned", "-o", "aligned.st")
    assert again.code == 2
    assert "aligned-2.st" in again.err


def test_a_dry_run_of_several_aligned_models_writes_nothing(here, cli):
    for seed, name in enumerate("abc"):
        save(here / f"{name}.st", state(seed))
    result = cli("rebasin", "a.st", "b.st", "c.st", "--emit", "aligned", "-o", "out.st", "--dry-run")
    assert result.code == 0, result.err
    assert sorted(path.name for path in here.iterdir()) == ["a.st", "b.st", "c.st"]
