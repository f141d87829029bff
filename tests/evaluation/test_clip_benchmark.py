"""Result files as CLIP_benchmark writes and reads them."""

from __future__ import annotations

import json

import pytest

from merge.evaluation.clip_benchmark import as_clip_benchmark, clip_benchmark_files


def row(metric, value, model="./soups/a.st", benchmark="unseen/mnist"):
    more = {"n": 4, "interval": [0.1, 0.9], "seed": 0, "data_use": "none", "split": "test", "head": "own text tower"}
    return {"model": model, "benchmark": benchmark, "metric": metric, "value": value, "identity": "id", **more}


ROWS = [row("accuracy", 0.5), row("loss", float("nan")), row("per_class_accuracy", 0.4), row("top5_accuracy", 0.75)]


def test_keys_and_names_are_theirs():
    found = as_clip_benchmark(ROWS, "hf:openai/clip-vit-base-patch32")
    assert list(found) == ["dataset", "model", "pretrained", "task", "metrics", "language", "merge"]
    assert found["metrics"] == {"acc1": 0.5, "acc5": 0.75, "mean_per_class_recall": 0.4}
    assert [found[key] for key in ("dataset", "pretrained", "language")] == ["unseen/mnist", "a.st", "en"]
    assert found["task"] == "zeroshot_classification"


def test_what_is_no_number_is_null():
    found = as_clip_benchmark(ROWS[:3])
    assert found["metrics"]["acc5"] is None
    assert json.loads(json.dumps(found, allow_nan=False))["merge"]["loss"]["value"] is None


def test_one_file_for_a_model_on_a_benchmark():
    other = [row("accuracy", 0.25, model="./b/a.st"), row("accuracy", 0.1, benchmark="digits")]
    files = clip_benchmark_files([*ROWS, *other], ["unseen/mnist"])
    assert [document["metrics"]["acc1"] for document in files.values()] == [0.5, 0.25]
    assert next(iter(files)) == "unseen_mnist_a.st_a.st_en_zeroshot_classification.json"
    assert all("/" not in name for name in files)


def test_names_that_are_too_long_for_a_file_are_cut_with_a_digest(tmp_path):
    long = [row("accuracy", 0.5, benchmark="é" * 300 + end) for end in ("a", "b")]
    files = clip_benchmark_files(long, [each["benchmark"] for each in long])
    assert [document["dataset"][-1] for document in files.values()] == ["a", "b"]
    for name in files:
        (tmp_path / f"{name}.partial").touch()
        assert name.endswith("_en_zeroshot_classification.json")


def test_rows_of_two_models_are_refused():
    with pytest.raises(ValueError, match="one model on one benchmark"):
        as_clip_benchmark([ROWS[0], row("accuracy", 1.0, model="b")])
