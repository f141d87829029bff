"""MedMNIST's own files, in the layout that its package downloads."""

from __future__ import annotations

import numpy as np
import pytest

from merge.errors import UsageError
from merge.evaluation.data import load_images
from merge.evaluation.data.medmnist import CLASSES
from merge.evaluation.data_source import read_data_source
from merge.evaluation.specification import read_benchmarks
from merge.section import parse_section

# Numbers of classes as MedMNIST v2's paper states them in table 2.
COUNTS = {"pathmnist": 9, "dermamnist": 7, "octmnist": 4, "pneumoniamnist": 2, "retinamnist": 5, "breastmnist": 2}
COUNTS |= {"bloodmnist": 8, "tissuemnist": 8, "organamnist": 11, "organcmnist": 11, "organsmnist": 11}


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MERGE_MEDMNIST_ROOT", str(tmp_path))
    return tmp_path


def save(path, side, channels=()):
    arrays = {}
    for number, split in enumerate(("train", "val", "test")):
        arrays[f"{split}_images"] = np.full((4, side, side, *channels), number, np.uint8)
        arrays[f"{split}_labels"] = np.array([[0], [1], [0], [1]], np.uint8)
    np.savez(path, **arrays)


def source(text):
    return read_data_source(parse_section(f"data: {{path: '{text}', split: val}}", "bench.yaml"), None)


@pytest.mark.parametrize(
    ("text", "file", "side"),
    [
        ("medmnist:breastmnist", "breastmnist.npz", 28),
        ("medmnist:breastmnist@28", "breastmnist.npz", 28),
        ("medmnist:breastmnist@224", "breastmnist_224.npz", 224),
    ],
)
def test_sizes_have_files_of_their_own(root, text, file, side):
    save(root / file, side)
    images = load_images(source(text))
    assert images.images.shape == (4, 1, side, side)
    assert (images.images.max(), images.labels.tolist()) == (1, [0, 1, 0, 1])
    assert images.classes == ("malignant", "normal, benign")


def test_without_the_variable_files_lie_where_the_package_puts_them(tmp_path, monkeypatch):
    monkeypatch.delenv("MERGE_MEDMNIST_ROOT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".medmnist").mkdir()
    save(tmp_path / ".medmnist" / "bloodmnist.npz", 28, (3,))
    assert load_images(source("medmnist:bloodmnist")).images.shape == (4, 3, 28, 28)


def test_numbers_of_classes():
    assert {name: len(names) for name, names in CLASSES.items()} == COUNTS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("medmnist:bloodmnist", "put MedMNIST's own bloodmnist.npz there"),
        ("medmnist:bloodmnist@64", "put MedMNIST's own bloodmnist_64.npz there"),
        ("medmnist:bloodmist", "did you mean 'bloodmnist'?"),
        ("medmnist:bloodmnist@32", "sizes: 28, 64, 128, 224"),
        ("medmnist:chestmnist", "no classification into one class"),
    ],
)
def test_refusals(root, text, message):
    with pytest.raises(UsageError) as refusal:
        source(text)
    assert str(refusal.value).startswith("bench.yaml:1:8: ")
    assert message in str(refusal.value)


def test_a_split_that_is_not_there(root):
    save(root / "bloodmnist.npz", 28, (3,))
    section = parse_section("data: {path: 'medmnist:bloodmnist', split: valid}", "bench.yaml")
    with pytest.raises(UsageError, match=r"'valid_images'.*\(splits: train, val, test\)"):
        load_images(read_data_source(section, None))


def test_the_suites_read_four_modalities(root):
    names = ["bloodmnist", "breastmnist", "octmnist", "retinamnist"]
    for name in names:
        save(root / f"{name}.npz", 28)
    assert [benchmark.name for benchmark in read_benchmarks(["medmnist"])] == names
    corrupted = read_benchmarks(["medmnist-corruptions"])
    assert len(corrupted) == 4 * (1 + 14 * 5)
    assert [benchmark.name for benchmark in corrupted if "/" not in benchmark.name] == names
