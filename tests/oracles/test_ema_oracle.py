"""The moving average worked by hand, step by step in a reference, and from the folders of a trainer."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import equal_bits, load, save
from in_memory import merge_states
from random_models import DTYPES, compare, random_states

MODELS = [{"w": torch.tensor(values, dtype=torch.float64)} for values in ([8.0, 0], [4.0, 8], [0.0, -8])]


@pytest.mark.parametrize(
    ("decay", "wanted"),
    [
        (0.5, [3.0, -2]),  # (8, 0), (6, 4), (3, -2)
        (0.75, [5.25, -0.5]),  # (8, 0), (7, 2), (5.25, -0.5)
        (0.0, [0.0, -8]),
        (1.0, [8.0, 0]),
    ],
)
def test_by_hand(decay, wanted):
    assert merge_states("ema", MODELS, decay=decay)["w"].tolist() == wanted


def test_by_hand_with_one_decay_per_step():
    # (8, 0), then half of (8, 0) and (4, 8): (6, 4), then a quarter of it: (1.5, -5); the first value has no effect.
    for first in (0.0, 0.9):
        found = merge_states("ema", MODELS, per_model={"decay": [first, 0.5, 0.25]})
        assert found["w"].tolist() == [1.5, -5]


def stepwise(arrays, decay):
    average = arrays[0]
    for array in arrays[1:]:
        average = decay * average + (1 - decay) * array
    return average


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_against_the_reference(dtype, decay, count):
    compare("ema", lambda arrays: stepwise(arrays, decay), dtype, count, decay=decay)


def test_the_default_is_nine_tenths():
    models = random_states(3)
    found, wanted = merge_states("ema", models), merge_states("ema", models, decay=0.9)
    assert all(equal_bits(found[name], wanted[name]) for name in found)


def test_the_folders_of_a_trainer(cli, tmp_path):
    folders = [tmp_path / f"checkpoint-{step}" for step in (1000, 2000, 10000)]
    for folder, model in zip(folders, MODELS, strict=True):
        save(folder / "model.safetensors", model)
        (folder / "optimizer.pt").write_bytes(b"not a model")
        (folder / "trainer_state.json").write_text("{}")
    result = cli("ema", *folders, "--decay", "0.5", "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    assert load(tmp_path / "out.st")["w"].tolist() == [3, -2]
