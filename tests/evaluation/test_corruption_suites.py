"""Benchmarks under corruptions: how files say it, and mean corruption errors against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import CLASSES

from merge.errors import UsageError
from merge.evaluation import evaluate, render_table
from merge.evaluation.corruptions import NAMES
from merge.evaluation.robustness import clean_rows, corruption_rows
from merge.evaluation.specification import read_benchmark, read_benchmarks

HEAD = "name: tiny\nkind: classification\ndata: {path: builtin:digits}\n"


def read(tmp_path, more, head=HEAD):
    (tmp_path / "spec.yaml").write_text(head + more)
    return read_benchmarks([str(tmp_path / "spec.yaml")])


def test_one_corruption_keeps_the_name(tmp_path):
    (benchmark,) = read(tmp_path, "corruption: {name: fog, severity: 3}")
    assert (benchmark.name, benchmark.data.corruption) == ("tiny", ("fog", 3, None))


def test_several_follow_the_clean_one(tmp_path):
    found = read(tmp_path, "corruptions: {names: [fog, snow], severities: [1, 5]}")
    assert [benchmark.name for benchmark in found] == ["tiny", "tiny/fog/1", "tiny/fog/5", "tiny/snow/1", "tiny/snow/5"]
    assert [benchmark.data.corruption for benchmark in found][::4] == [None, ("snow", 5, "tiny")]
    assert len({id(benchmark.data.shared) for benchmark in found}) == 1
    with pytest.raises(UsageError, match="a suite of 5 benchmarks"):
        read_benchmark(str(tmp_path / "spec.yaml"))


def test_all_and_defaults(tmp_path):
    text = "suite: s\ndefaults: {kind: classification, corruptions: {names: all, severities: [2]}}\nbenchmarks:\n"
    found = read(
        tmp_path, "- {name: a, data: {path: builtin:digits}}\n- {name: b, data: {path: builtin:digits}}\n", text
    )
    assert [benchmark.name for benchmark in found][:3] == ["a", f"a/{NAMES[0]}/2", f"a/{NAMES[1]}/2"]
    assert len(found) == 2 * (1 + len(NAMES))


def test_the_bundled_suite_leaves_out_what_does_not_count_in_the_mean():
    found = read_benchmarks(["digits-corruptions"])
    names = {benchmark.data.corruption.name for benchmark in found if benchmark.data.corruption}
    assert len(found) == 71
    assert {*NAMES} - names == {"speckle_noise", "gaussian_blur", "saturate"}


@pytest.mark.parametrize(
    ("more", "place", "message"),
    [
        ("corruption: {name: fgo, severity: 3}", ":4:14", "did you mean 'fog'?"),
        ("corruption: {name: fog, severity: 6}", ":4:25", "no severity 6 (1 is the mildest"),
        ("corruption: {name: fog, severity: true}", ":4:25", "no severity True"),
        ("corruption: {name: fog}", ":4:13", "the key 'severity' is missing"),
        ("corruption: fog", ":4:1", "'corruption' must be a mapping"),
        ("corruptions: {names: [fog], severities: [1, 9]}", ":4:45", "no severity 9"),
        ("corruptions: {names: [fog, fog], severities: [1]}", ":4:15", "'names' is empty or repeats itself"),
        ("corruptions: {names: fog, severities: [1]}", ":4:15", "'names' must be a list"),
        ("corruptions: {names: [], severities: [1]}", ":4:15", "'names' is empty"),
        ("corruptions: {names: all, severity: [1]}", ":4:27", "did you mean 'severities'?"),
        (
            "corruption: {name: fog, severity: 1}\ncorruptions: {names: all, severities: all}",
            ":5:1",
            "give 'corruption'",
        ),
        ("corruption: {name: fog, severity: 1}\nnormalise: 1", ":5:1", "did you mean 'normalize'?"),
    ],
)
def test_refusals_say_where_and_what(tmp_path, more, place, message):
    with pytest.raises(UsageError) as refusal:
        read(tmp_path, more)
    assert str(refusal.value).startswith(f"{tmp_path / 'spec.yaml'}{place}")
    assert message in str(refusal.value)


def test_text_has_nothing_to_corrupt(tmp_path):
    (tmp_path / "text.txt").write_text("words")
    head = "name: text\nkind: perplexity\ndata: {path: text.txt}\n"
    with pytest.raises(UsageError, match=r"spec.yaml:2:1: a benchmark of kind 'perplexity' has no images to corrupt"):
        read(tmp_path, "corruption: {name: fog, severity: 1}", head)


@pytest.fixture
def images():
    generator = np.random.default_rng(0)
    return {"images": generator.integers(0, 256, (24, 8, 8), dtype=np.uint8), "labels": np.arange(24) % CLASSES}


def test_mean_corruption_error_by_hand(classifiers, write_benchmark, images):
    one, two = map(str, classifiers)
    more = "corruptions: {names: [gaussian_noise, contrast], severities: all}"
    evaluation = evaluate([one, two], [write_benchmark(more, **images)], ensemble="probs")
    accuracy = {
        (row["model"], row["benchmark"]): row["value"] for row in evaluation.results if row["metric"] == "accuracy"
    }
    errors = {
        (model, name): sum(1 - accuracy[model, f"tiny/{name}/{severity}"] for severity in range(1, 6))
        for model in (one, two)
        for name in ("gaussian_noise", "contrast")
    }
    rows = {row["model"]: row for row in evaluation.corruption}
    assert [*rows] == [one, two, "ensemble(probs)"]
    assert rows[one]["mean_corruption_error"] == 1
    ratios = {name: errors[two, name] / errors[one, name] for name in ("gaussian_noise", "contrast")}
    assert (rows[two]["benchmark"], rows[two]["reference"]) == ("tiny", one)
    assert rows[two]["errors"] == pytest.approx(ratios)
    assert rows[two]["mean_corruption_error"] == pytest.approx(sum(ratios.values()) / 2)
    assert rows[two]["error_rates"]["contrast"] == pytest.approx(errors[two, "contrast"] / 5)
    assert not evaluation.averages  # there is one clean benchmark, and the others are summed up above
    assert evaluation.as_json()["corruption"] == evaluation.corruption


def test_all_models_see_the_same_corrupted_images_and_seeds_change_them(classifiers, write_benchmark, images):
    one = str(classifiers[0])
    spec = write_benchmark("corruption: {name: gaussian_noise, severity: 5}", **images)

    def loss(*models, seed):
        evaluation = evaluate([*models], [spec], seed=seed, batch_size=7)
        return [row["value"] for row in evaluation.results if row["metric"] == "loss"][-1]

    assert loss(str(classifiers[1]), one, seed=1) == loss(one, seed=1) != loss(one, seed=2)


def test_fewer_severities_have_no_mean_corruption_error(classifiers, write_benchmark, images):
    spec = write_benchmark("corruptions: {names: [contrast], severities: [1, 3]}", **images)
    evaluation = evaluate([str(classifiers[0])], [spec])
    assert evaluation.corruption == []
    assert [note for note in evaluation.notes if "no mean corruption error: it is over all five severities" in note]


RATES = {"one": {"fog": 0.1, "snow": 0.2}, "two": {"fog": 0.15, "snow": 0.1}}  # times the severity


def rows_of(benchmarks, rates):
    """Return rows of results whose error is the rate times the severity."""
    return [
        {"model": model, "benchmark": one.name, "metric": metric, "value": 1 - _error(one, of_model)}
        for one in benchmarks
        for model, of_model in rates.items()
        for metric in ("accuracy", "per_class_accuracy")
    ]


def _error(benchmark, rates):
    corruption = benchmark.data.corruption
    return rates[corruption.name] * corruption.severity if corruption else 0.05


def test_rows_by_hand(tmp_path):
    benchmarks = read(tmp_path, "corruptions: {names: [fog, snow], severities: all}")
    rows = rows_of(benchmarks, RATES)
    (one, two), notes = corruption_rows(rows, benchmarks)
    assert (one["mean_corruption_error"], one["errors"], notes) == (1, {"fog": 1, "snow": 1}, [])
    assert two["errors"] == pytest.approx({"fog": 0.15 / 0.1, "snow": 0.1 / 0.2})
    assert two["mean_corruption_error"] == pytest.approx((1.5 + 0.5) / 2)
    assert two["error_rates"] == pytest.approx({"fog": 0.15 * 3, "snow": 0.1 * 3})
    assert {row["benchmark"] for row in clean_rows(rows, benchmarks)} == {"tiny"}


def test_a_reference_without_errors_is_a_note_and_no_lost_evaluation(tmp_path):
    benchmarks = read(tmp_path, "corruptions: {names: [fog, snow], severities: all}")
    rows, notes = corruption_rows(rows_of(benchmarks, RATES | {"one": {"fog": 0.0, "snow": 0.2}}), benchmarks)
    assert rows == []
    assert "tiny, two: no mean corruption error: fog: the reference loses nothing here" in notes[1]
    assert len(notes) == 2


def test_the_table_sums_corruptions_up(classifiers, write_benchmark, images):
    spec = write_benchmark("corruptions: {names: [contrast], severities: all}", **images)
    text = render_table(evaluate([str(folder) for folder in classifiers], [spec]))
    assert "\ncorrupted " in text
    assert "tiny/contrast" not in text
