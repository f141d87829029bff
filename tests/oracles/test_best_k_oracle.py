"""The average of the best worked by hand: which are taken, equal scores, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoint_files import equal_bits, load, save
from in_memory import merge_states, run_recipe
from random_models import DTYPES, compare, random_states

from merge.errors import UsageError
from merge.recipe import Merge, Model, Recipe

VALUES = [[1.0, 0], [2.0, 4], [4.0, 8], [8.0, -4]]
MODELS = [{"w": torch.tensor(values)} for values in VALUES]


@pytest.mark.parametrize(
    ("scores", "options", "wanted"),
    [
        ([0.1, 0.4, 0.3, 0.2], {"count": 1}, [2.0, 4]),
        ([0.1, 0.4, 0.3, 0.2], {"count": 2}, [3.0, 6]),
        ([0.1, 0.4, 0.3, 0.2], {"count": 4}, [3.75, 2]),
        ([0.1, 0.4, 0.3, 0.2], {"count": 2, "better": "lower"}, [4.5, -2]),
        ([-5.0, -7.0, -6.0, -8.0], {"count": 2}, [2.5, 4]),
        ([0.3, 0.3, 0.3, 0.3], {"count": 2}, [1.5, 2]),  # the earlier given ones
        ([0.3, 0.3, 0.3, 0.3], {"count": 2, "better": "lower"}, [1.5, 2]),
        ([0.2, 0.3, 0.2, 0.3], {"count": 3, "better": "lower"}, [7 / 3, 4]),  # 0, 2, then the first of 1 and 3
    ],
)
def test_by_hand(scores, options, wanted):
    found = merge_states("best-k", MODELS, per_model={"score": scores}, **options)["w"]
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-7, atol=0)


def test_three_are_the_default_and_all_of_fewer():
    scores = {"score": [0.1, 0.4, 0.3, 0.2]}
    assert merge_states("best-k", MODELS, per_model=scores)["w"].tolist() == pytest.approx([14 / 3, 8 / 3])
    assert merge_states("best-k", MODELS[:2], per_model={"score": [0.1, 0.4]})["w"].tolist() == [1.5, 2]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [1, 3, 5])
def test_against_the_reference(dtype, count):
    scores = [0.5, 0.9, 0.7, 0.6, 0.8]
    best = np.argsort(scores)[::-1][:count]
    compare(
        "best-k",
        lambda arrays: sum(arrays[number] for number in best) / count,
        dtype,
        5,
        per_model={"score": scores},
        count=count,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_best_one_is_copied_bit_for_bit(dtype):
    models = random_states(3, dtype)
    found = merge_states("best-k", models, per_model={"score": [0.1, 0.9, 0.2]}, count=1)
    assert all(equal_bits(found[name], models[1][name]) for name in found)


def test_all_with_any_scores_are_a_soup():
    models = random_states(4, torch.bfloat16)
    found = merge_states("best-k", models, per_model={"score": [4.0, 1.0, 3.0, 2.0]}, count=4)
    wanted = merge_states("soup", models)
    assert all(equal_bits(found[name], wanted[name]) for name in found)


@pytest.mark.parametrize("scores", [[None, None], [0.1, None]])
def test_scores_must_be_given(scores):
    given = [
        Model(model, {} if score is None else {"score": score}) for model, score in zip(MODELS, scores, strict=False)
    ]
    with pytest.raises(UsageError, match="best-k needs 'score'"):
        run_recipe(Recipe(Merge("best-k", tuple(given))))


def test_more_than_there_are_are_refused():
    with pytest.raises(UsageError, match="there are 4 models"):
        merge_states("best-k", MODELS, per_model={"score": 0.5}, count=5)


def test_from_the_command_line(cli, tmp_path):
    folders = [tmp_path / f"checkpoint-{number}" for number in range(4)]
    for folder, model in zip(folders, MODELS, strict=True):
        save(folder / "model.safetensors", model)
    flags = ("--scores", "1.9,1.2,1.1,1.3", "--better", "lower", "--count", "2", "-o", tmp_path / "out.st")
    result = cli("best-k", *folders, *flags)
    assert result.code == 0, result.err
    assert load(tmp_path / "out.st")["w"].tolist() == [3, 6]
    missing = cli("best-k", *folders, "-o", tmp_path / "other.st")
    assert missing.code == 2
    assert "--scores" in missing.err
