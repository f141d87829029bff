"""Pruning: numbers by hand, torch.nn.utils.prune as the oracle, and what is left alone."""

from __future__ import annotations

import math

import pytest
import torch
from checkpoint_files import equal_bits, load, save
from in_memory import merge_states, recipe_of, run_recipe
from torch.nn.utils import prune

from merge.arithmetic.pruning import is_embedding
from merge.engine import RunSettings
from merge.errors import UsageError

DTYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    layers = [torch.nn.Conv2d(3, 7, 3), torch.nn.BatchNorm2d(7), torch.nn.Flatten(), torch.nn.Linear(63, 11)]
    return torch.nn.Sequential(*layers, torch.nn.Linear(11, 4, bias=False))


def test_by_hand():
    model = {"a.weight": torch.tensor([[1.0, -4, 2], [0.5, 3, -2]]), "a.bias": torch.tensor([0.1, 0.2])}
    found, _, outcome = run_recipe(recipe_of("prune", [model], sparsity=0.5))
    assert found["a.weight"].tolist() == [[0, -4, 2], [0, 3, 0]]  # the first of the two 2s stays
    assert found["a.bias"].tolist() == model["a.bias"].tolist()
    assert not torch.signbit(found["a.weight"][1, 2])
    assert outcome.remarks == ["prune: 50.0% of the 6 entries of pruned tensors are 0, 0.0% were before"]


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.29, 0.5, 0.9, 0.997, 1.0])
@pytest.mark.parametrize("scope", ["tensor", "checkpoint"])
def test_torch_prunes_the_same_entries(sparsity, scope):
    model = network()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    layers = [(model[place], "weight") for place in (0, 3, 4)]
    if scope == "checkpoint":
        prune.global_unstructured(layers, prune.L1Unstructured, amount=sparsity)
    else:
        for layer, name in layers:
            prune.l1_unstructured(layer, name, amount=sparsity)
    found = merge_states("prune", [state], sparsity=sparsity, scope=scope)
    for place in (0, 3, 4):
        assert torch.equal(found[f"{place}.weight"], model[place].weight)
    for name in set(state) - {f"{place}.weight" for place in (0, 3, 4)}:
        assert equal_bits(found[name], state[name])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_as_many_as_asked_for_whatever_the_type(dtype):
    generator = torch.Generator().manual_seed(1)
    model = {f"{number}.weight": torch.randn(40, 30, generator=generator).to(dtype) for number in range(3)}
    found = merge_states("prune", [model], sparsity=0.7, scope="checkpoint")
    assert sum(int((tensor == 0).sum()) for tensor in found.values()) == 2520
    kept = min(tensor[tensor != 0].abs().min() for tensor in found.values())
    gone = max(model[name][tensor == 0].abs().max() for name, tensor in found.items())
    assert gone <= kept


def test_what_was_pruned_stays_pruned():
    model = {"a.weight": torch.randn(50, 20), "b.weight": torch.randn(30, 20)}
    once = merge_states("prune", [model], sparsity=0.5)
    found, _, outcome = run_recipe(recipe_of("prune", [once], sparsity=0.7))
    assert all(bool((found[name][once[name] == 0] == 0).all()) for name in once)
    assert outcome.remarks == ["prune: 70.0% of the 1,600 entries of pruned tensors are 0, 50.0% were before"]
    less = merge_states("prune", [once], sparsity=0.3)
    assert all(torch.equal(less[name], once[name]) for name in once)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("pattern", ["", "2:4"])
def test_the_same_bits_for_any_chunks_and_threads(threads, pattern):
    generator = torch.Generator().manual_seed(2)
    values = torch.randint(-9, 9, (500, 800), generator=generator).float()  # many equal ones
    model = {"a.weight": values, "b.weight": values.flip(0)}
    given = {"pattern": pattern} if pattern else {"sparsity": 0.6}
    alone = merge_states("prune", [model], settings=RunSettings(threads=1), **given)
    small = merge_states("prune", [model], settings=RunSettings(threads=threads, chunk_elements=65536), **given)
    assert all(equal_bits(alone[name], small[name]) for name in model)


def test_a_pattern_by_hand():
    model = {"a.weight": torch.tensor([[1.0, -4, 2, 3, 5, 5, -5, 5]]), "odd.weight": torch.ones(2, 6)}
    found, _, outcome = run_recipe(recipe_of("prune", [model], pattern="2:4"))
    assert found["a.weight"].tolist() == [[0, -4, 0, 3, 5, 5, 0, 0]]
    assert torch.equal(found["odd.weight"], model["odd.weight"])  # 4 does not divide its inputs
    assert "50.0% of the 8 entries" in outcome.remarks[0]


def test_a_pattern_among_infinities_makes_no_nan(tmp_path, cli):
    save(tmp_path / "model.st", {"w": torch.tensor([[math.inf, math.inf, -math.inf, 1.0]])})
    given = ("--pattern", "2:4", "--allow-nonfinite", "-o", tmp_path / "out.st")
    assert cli("prune", tmp_path / "model.st", *given).code == 0
    assert load(tmp_path / "out.st")["w"].tolist() == [[math.inf, math.inf, 0.0, 0.0]]


def test_a_pattern_runs_along_the_inputs_of_a_kernel():
    kernel = torch.randn(5, 8, 3, 3, generator=torch.Generator().manual_seed(3))
    found = merge_states("prune", [{"conv.weight": kernel}], pattern="1:4")["conv.weight"]
    groups = kernel.reshape(5, 2, 4, 3, 3)
    mask = groups.abs() == groups.abs().amax(2, keepdim=True)
    assert torch.equal(found, (groups * mask).reshape(kernel.shape))


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("model.embed_tokens.weight", (9, 4), True),
        ("transformer.wte.weight", (9, 4), True),
        ("shared.weight", (9, 4), True),
        ("vit.embeddings.position_embeddings", (1, 9, 4), True),
        ("vit.embeddings.cls_token", (1, 1, 4), True),
        ("positional_embedding", (9, 4), True),
        ("token_emb.emb.weight", (9, 4), True),
        ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (9, 4), True),
        ("vit.embeddings.patch_embeddings.projection.weight", (4, 3, 2, 2), False),
        ("vision_model.embeddings.patch_embedding.weight", (4, 3, 2, 2), False),
        ("time_embedding.linear_1.weight", (4, 4), False),
        ("ensemble.weight", (4, 4), False),
        ("model.layers.0.self_attn.q_proj.weight", (4, 4), False),
        ("lm_head.weight", (9, 4), False),
    ],
)
def test_embeddings_are_told_by_their_names(name, shape, wanted):
    assert is_embedding(name, shape) is wanted
    model = {name: torch.randn(shape), "other.weight": torch.randn(3, 3)}
    found = merge_states("prune", [model], sparsity=1.0)
    assert bool(found[name].any()) is wanted
    assert not merge_states("prune", [model], sparsity=1.0, embeddings=True)[name].any()


def test_kept_tensors_do_not_count(cli, tmp_path):
    model = {"a.weight": torch.ones(4, 5), "lm_head.weight": torch.full((4, 5), 0.1)}
    path = save(tmp_path / "m.st", model)
    result = cli("prune", path, "--sparsity", 0.5, "--keep", "lm_head.*", "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    assert "50.0% of the 20 entries" in result.out
    assert cli("inspect", tmp_path / "out.st").out.count("zeros 50.0%") == 1
    assert torch.equal(load(tmp_path / "out.st")["lm_head.weight"], model["lm_head.weight"])
    assert cli("verify", tmp_path / "out.st").code == 0


def test_nested_in_a_merge():
    from merge.recipe import Merge, Model

    model = {"a.weight": torch.tensor([[1.0, 4]]), "b": torch.tensor([1.0, 4])}
    inner = Merge("prune", (Model(model),), options={"sparsity": 0.5})
    found = merge_states("soup", [inner, {name: torch.zeros_like(one) for name, one in model.items()}])
    assert found["a.weight"].tolist() == [[0, 2]]
    assert found["b"].tolist() == [0.5, 2]


def test_layer_rules_within_tensors(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "m.st", {"a.weight": torch.randn(10, 10), "b.weight": torch.randn(10, 10)})
    text = "merge: prune\nmodels: [m.st]\noptions: {scope: tensor, sparsity: 0.9}\n"
    text += "layers: [{match: b.*, options: {sparsity: 0.2}}]\noutput: out.st\n"
    (tmp_path / "r.yaml").write_text(text)
    assert cli("run", "r.yaml").code == 0
    found = load(tmp_path / "out.st")
    assert [int((found[f"{name}.weight"] == 0).sum()) for name in "ab"] == [90, 20]


@pytest.mark.parametrize("pattern", ["4:2", "2-4", "0:4", "4:4", "a:b"])
def test_no_patterns(pattern):
    with pytest.raises(UsageError, match=f"'{pattern}' is no pattern"):
        merge_states("prune", [{"w": torch.ones(4, 4)}], pattern=pattern)


def test_refusals(cli, tmp_path):
    path = save(tmp_path / "m.st", {"w": torch.ones(4, 4)})
    assert "give one of them" in cli("prune", path, "--sparsity", 0.5, "--pattern", "2:4", "-o", tmp_path / "o").err
    assert cli("prune", path, "--sparsity", 1.5, "-o", tmp_path / "o").code == 2
    assert "scope means nothing" in cli("prune", path, "--scope", "tensor", "--pattern", "2:4", "-o", "o").err
    assert cli("prune", path, path, "-o", tmp_path / "o").code == 2
    nan = save(tmp_path / "nan.st", {"w": torch.tensor([[1.0, float("nan")], [2.0, 3.0]])})
    refused = cli("prune", nan, "-o", tmp_path / "out.st")
    assert refused.code == 1
    assert "'w'" in refused.err
    assert not (tmp_path / "out.st").exists()


def test_a_model_with_nothing_to_prune_is_warned_of(cli, tmp_path):
    path = save(tmp_path / "m.st", {"bias": torch.ones(4), "embed.weight": torch.ones(4, 4)})
    result = cli("prune", path, "-o", tmp_path / "out.st")
    assert result.code == 0
    assert "prune leaves every tensor as it is" in result.err
