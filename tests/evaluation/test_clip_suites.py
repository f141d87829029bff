"""The bundled suites: all of them parse, and those of CLIP are the published sets."""

from __future__ import annotations

import pytest
from medical_files import SETS, write_all

from merge.evaluation.specification import read_benchmarks, suite_names

FIRST_EIGHT = ["sun397", "stanford-cars", "resisc45", "eurosat", "svhn", "gtsrb", "mnist", "dtd"]
# Of FusionBench's protocol, by task in order.
TEMPLATE_COUNTS = [2, 8, 18, 3, 1, 3, 1, 8, 1, 1, 6, 1, 2, 18, 18, 1, 2, 1, 1, 1]
CLASS_COUNTS = {"eurosat": 10, "svhn": 10, "gtsrb": 43, "mnist": 10, "oxford-flowers102": 102, "pcam": 2}
CLASS_COUNTS |= {"fer2013": 7, "stl10": 10, "fashion-mnist": 10, "emnist-letters": 26, "kmnist": 10, "rendered-sst2": 2}


@pytest.mark.parametrize("name", suite_names())
def test_every_bundled_file_parses(name, tmp_path, monkeypatch):
    write_all(tmp_path, monkeypatch)
    for data in SETS:
        (tmp_path / "medmnist" / f"{data}.npz").touch()
    benchmarks = read_benchmarks([name])
    assert benchmarks
    assert all(benchmark.name for benchmark in benchmarks)


def test_the_smaller_suites_are_the_first_tasks_of_the_largest():
    twenty = read_benchmarks(["clip-20"])
    assert [benchmark.name for benchmark in twenty[:8]] == FIRST_EIGHT
    for count in (8, 14):
        for one, same in zip(read_benchmarks([f"clip-{count}"]), twenty[:count], strict=True):
            assert (one.name, one.data.text, one.data.split) == (same.name, same.data.text, same.data.split)
            assert (one.prompts.classes, one.prompts.templates) == (same.prompts.classes, same.prompts.templates)


def test_prompts_are_as_many_as_published():
    twenty = read_benchmarks(["clip-20"])
    assert [len(benchmark.prompts.templates) for benchmark in twenty] == TEMPLATE_COUNTS
    listed = {benchmark.name: len(benchmark.prompts.classes) for benchmark in twenty if benchmark.prompts.classes}
    assert listed == CLASS_COUNTS
    for benchmark in twenty:
        classes = benchmark.prompts.classes or ()
        assert len({*classes}) == len(classes)


def test_generalisation_leaves_two_tasks_unseen():
    names = [benchmark.name for benchmark in read_benchmarks(["clip-generalisation"])]
    assert [name.removeprefix("unseen/") for name in names if name.startswith("unseen/")] == ["mnist", "eurosat"]
    assert {name.removeprefix("unseen/") for name in names} == {*FIRST_EIGHT}


def test_corruptions_are_laid_over_four_tasks():
    benchmarks = read_benchmarks(["clip-corruptions"])
    assert len(benchmarks) == 4 * (1 + 6 * 5)
    assert {benchmark.kind for benchmark in benchmarks} == {"zero-shot"}
