"""The sparse soup: the specification's numbers, and masks that agree or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits, load, save
from in_memory import merge_states, recipe_of, run_recipe
from random_models import DTYPES, compare, random_states

from merge.engine import RunSettings
from merge.errors import MergeError

ONE, TWO = torch.tensor([2.0, 1, 0, 0, 3, 0]), torch.tensor([4.0, 0, 5, 0, 0, 0])


def test_masks_that_differ_are_refused_with_what_would_be_left():
    with pytest.raises(MergeError) as caught:
        merge_states("sparse-soup", [{"w": ONE}, {"w": TWO}])
    text = str(caught.value)
    assert "differ at 3 of 6 entries" in text
    assert "sparsity 50.0%, 66.7%, and only 33.3% of their average" in text
    assert "--no-require-same-mask" in text


def test_the_numbers_of_the_specification():
    found, _, outcome = run_recipe(recipe_of("sparse-soup", [{"w": ONE}, {"w": TWO}], require_same_mask=False))
    assert found["w"].tolist() == [3, 0.5, 2.5, 0, 1.5, 0]
    assert len(outcome.remarks) == 1
    assert "sparsity 50.0%, 66.7%, and 33.3% of the average" in outcome.remarks[0]


def test_masks_are_compared_over_the_checkpoint():
    # Zeros: one in "a", two in "b", and -0 is a zero; 3 of 8 entries.
    one = {"a": torch.tensor([0.0, 1, 2]), "b": torch.tensor([[1.0, 0], [-0.0, 4]]), "s": torch.tensor(2.0)}
    two = {"a": torch.tensor([0.0, 3, 2]), "b": torch.tensor([[1.0, 0], [0.0, 8]]), "s": torch.tensor(4.0)}
    found, _, outcome = run_recipe(recipe_of("sparse-soup", [one, two]))
    assert (found["a"].tolist(), found["b"].tolist(), found["s"].item()) == ([0, 2, 2], [[1, 0], [0, 6]], 3)
    assert outcome.remarks == ["sparse-soup: sparsity 37.5%, the same zeros in all models"]
    two["s"] = torch.tensor(0.0)
    with pytest.raises(MergeError, match="differ at 1 of 8 entries"):
        merge_states("sparse-soup", [one, two])


def test_cancelling_entries_are_no_zeros_of_the_average():
    found, _, outcome = run_recipe(
        recipe_of("sparse-soup", [{"w": torch.tensor([1.0, 0])}, {"w": torch.tensor([-1.0, 0])}])
    )
    assert found["w"].tolist() == [0, 0]
    assert "50.0%" in outcome.remarks[0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [2, 3])
def test_against_the_reference(dtype, count):
    compare("sparse-soup", lambda arrays: np.mean(arrays, axis=0), dtype, count)


@pytest.mark.parametrize("threads", [1, 3])
def test_one_mask_on_large_tensors(threads):
    generator = torch.Generator().manual_seed(1)
    masks = {name: torch.rand(size, generator=generator) < 0.3 for name, size in (("a", 300_001), ("b", 70_000))}
    models = [
        {name: torch.randn(len(mask), generator=generator).masked_fill(mask, 0.0) for name, mask in masks.items()}
        for _ in range(3)
    ]
    settings = RunSettings(threads=threads, chunk_elements=65536)
    found, _, outcome = run_recipe(recipe_of("sparse-soup", models), settings)
    assert all(torch.equal(found[name] == 0, mask) for name, mask in masks.items())
    zeros = sum(int(mask.sum()) for mask in masks.values())
    assert outcome.remarks == [f"sparse-soup: sparsity {zeros / 370_001:.1%}, the same zeros in all models"]


def test_dense_models_are_a_soup():
    models = random_states(3, torch.bfloat16)
    found, wanted = merge_states("sparse-soup", models), merge_states("soup", models)
    assert all(equal_bits(found[name], wanted[name]) for name in found)


def test_from_the_command_line(cli, tmp_path):
    one, two = (save(tmp_path / f"{name}.st", {"w": value}) for name, value in (("a", ONE), ("b", TWO)))
    refused = cli("sparse-soup", one, two, "-o", tmp_path / "out.st")
    assert refused.code == 1
    assert "33.3%" in refused.err
    assert not (tmp_path / "out.st").exists()
    allowed = cli("sparse-soup", one, two, "--no-require-same-mask", "-o", tmp_path / "out.st")
    assert allowed.code == 0, allowed.err
    assert "33.3%" in allowed.out
    assert load(tmp_path / "out.st")["w"].tolist() == [3, 0.5, 2.5, 0, 1.5, 0]


def test_the_tensor_that_differs_most_is_named_and_so_is_a_model_that_is_not_pruned():
    sparse = {"a": torch.tensor([0.0, 1, 0, 1]), "b": torch.tensor([[0.0, 0], [0, 1]])}
    dense = {"a": torch.tensor([0.0, 1, 2, 1]), "b": torch.tensor([[1.0, 2], [3, 4]])}
    with pytest.raises(MergeError, match="most of them in 'b', at 3 of 4 ") as caught:
        merge_states("sparse-soup", [sparse, dense, sparse])
    assert "not pruned" not in str(caught.value)  # 12.5 % and 62.5 % are 1 to 5
    with pytest.raises(MergeError, match="model 2 is not pruned"):
        merge_states("sparse-soup", [sparse, {name: one + 1 for name, one in dense.items()}])


def test_a_few_zeros_by_chance_are_said_and_no_reason_to_refuse():
    models = [{"w": torch.ones(400, 500)} for _ in range(2)]
    models[1]["w"][0, :2] = 0
    found, _, outcome = run_recipe(recipe_of("sparse-soup", models))
    assert found["w"][0, :3].tolist() == [0.5, 0.5, 1]
    assert "the models' zeros differ at 2 of 200,000 entries" in outcome.remarks[0]
    models[1]["w"][0, 2] = 0
    with pytest.raises(MergeError, match="differ at 3 of 200,000 entries"):
        merge_states("sparse-soup", models)


@pytest.mark.parametrize("workers", [1, 2])
def test_tensors_are_counted_by_name_in_several_processes_too(cli, tmp_path, workers):
    models = [{f"{number}.w": torch.ones(300, 400) for number in range(4)} for _ in range(2)]
    models[1]["2.w"][:3, :5] = 0
    one, two = (save(tmp_path / f"{number}.st", model) for number, model in enumerate(models))
    result = cli("sparse-soup", one, two, "--workers", workers, "-o", tmp_path / "out.st")
    assert result.code == 1
    assert "most of them in '2.w', at 15 of 120,000" in result.err
